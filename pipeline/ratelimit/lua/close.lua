-- Close a bucket until a time; one that is closed for longer stays so.
-- KEYS[1] hash   the bucket: closed
-- ARGV    1 until, in microseconds
free_first(KEYS[1])
local closed = tonumber(redis.call('HGET', KEYS[1], 'closed') or 0)
if tonumber(ARGV[1]) > closed then
  redis.call('HSET', KEYS[1], 'closed', ARGV[1])
end
return 1
