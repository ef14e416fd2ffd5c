-- Put up the tombstones of a person: what is in the raw stream by now is dropped. A splitter with a batch of it in hand,
-- and a process with outcomes that are not written yet, asks anew.
-- KEYS[2] the raw stream
-- ARGV    now, for how many ms they stand, field...
-- Returns the id of the newest raw entry that there ever was
local now, life = ms(ARGV[1]), tonumber(ARGV[2])
local key = P .. 'forgotten'
local last, said = '0-0', redis.call('EXISTS', KEYS[2]) == 1 and redis.call('XINFO', 'STREAM', KEYS[2]) or {}
for i = 1, #said, 2 do
  if said[i] == 'last-generated-id' then last = said[i + 1] end -- the entry itself may have been split by now
end
free_first(P)
local flat = redis.call('HGETALL', key)
for i = 1, #flat, 2 do
  local ends = string.match(flat[i + 1], ' (%d+)$')
  if ends and tonumber(ends) <= now then redis.call('HDEL', key, flat[i]) end
end
for i = 3, #ARGV do redis.call('HSET', key, ARGV[i], last .. ' ' .. int(now + life)) end
redis.call('HSET', key, 'gen', int(now) .. '-' .. int(redis.call('INCR', P .. 'token')))
redis.call('PEXPIRE', key, int(life))
return last
