-- Take, keep or give up the splitter's lease; count the holders that lost it over the oldest raw entry.
-- KEYS[1] the lease, KEYS[2] the raw stream
-- KEYS[3] hash  entry: the oldest raw entry when the holder last looked ('' = none); holder: who that was
--               (absent: it gave the lease up)
-- KEYS[4] set   the holders that lost the lease over that entry and have not been heard of since
-- KEYS[5] the number of the data's format: a Redis that was emptied beside a running splitter takes it anew
-- ARGV    the splitter's token, for how many ms (0 gives it up), this version's number, how many entries to read
-- Returns nil when the lease is another's or given up, else how many are in the set (the strikes), and the oldest
-- entries: the first, and as many as asked for and as RAW_READ_BYTES hold
-- The splitter that asks is alive. It, or Redis, was away for a while, which is no fault of the entry's.
-- So the strike that it left is taken back. (This is also a first write that frees: see lib.lua. A full Redis
-- must be emptied, too.)
redis.call('SREM', KEYS[4], ARGV[1])
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return false end
local seen = redis.call('HMGET', KEYS[3], 'entry', 'holder')
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
  if seen[2] == ARGV[1] then redis.call('HDEL', KEYS[3], 'holder') end
  return false
end
local oldest = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
local entry = oldest and oldest[1] or ''
if entry == '' or entry ~= seen[1] then
  redis.call('DEL', KEYS[4])
elseif seen[2] and seen[2] ~= ARGV[1] then
  redis.call('SADD', KEYS[4], seen[2])
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
if not seen[1] then redis.call('SETNX', KEYS[5], ARGV[3]) end
redis.call('HSET', KEYS[3], 'entry', entry, 'holder', ARGV[1])
return { redis.call('SCARD', KEYS[4]), read_stream(KEYS[2], '-', '+', tonumber(ARGV[4] or '0')) }
