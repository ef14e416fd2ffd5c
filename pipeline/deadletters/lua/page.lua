-- One page of dead letters, newest first, without their raw events (up to 32 KB each).
-- KEYS[1] dead:at, KEYS[2] dead
-- ARGV    died at or before (ms), died at or after (ms), most letters
-- Returns {id, died at, header JSON, ...}; the header is '' when there is no such letter
local found = redis.call('ZREVRANGEBYSCORE', KEYS[1], ARGV[1], ARGV[2], 'WITHSCORES', 'LIMIT', 0, ARGV[3])
local reply = {}
for i = 1, #found, 2 do
  local letter = redis.call('HGET', KEYS[2], found[i]) or '\n'
  reply[#reply + 1] = found[i]
  reply[#reply + 1] = found[i + 1]
  reply[#reply + 1] = string.sub(letter, 1, string.find(letter, '\n', 1, true) - 1)
end
return reply
