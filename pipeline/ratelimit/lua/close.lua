-- Close a bucket until a time; one that is closed for longer stays so.
-- KEYS[1] hash   the bucket: closed
-- ARGV    1 until, in microseconds
redis.call('HDEL', KEYS[1], 'none') -- a first write that frees, as in reserve.lua
local closed = tonumber(redis.call('HGET', KEYS[1], 'closed') or 0)
if tonumber(ARGV[1]) > closed then
  redis.call('HSET', KEYS[1], 'closed', ARGV[1])
end
return 1
