-- One page of dead letters, newest first, without their raw events (up to 32 KB each).
-- KEYS[1] dead:at, KEYS[2] dead
-- ARGV    died at or before (ms), died at or after (ms), most letters, how many of them to return though the reply grows
--         beyond PAGE_BYTES
-- Returns {id, died at, header JSON, ...}; the header is '' when there is no such letter
local found = redis.call('ZREVRANGEBYSCORE', KEYS[1], ARGV[1], ARGV[2], 'WITHSCORES', 'LIMIT', 0, ARGV[3])
local reply, bytes = {}, 0
for i = 1, #found, 2 do
  if bytes > PAGE_BYTES and i > 2 * ARGV[4] then break end
  local letter = redis.call('HGET', KEYS[2], found[i]) or '\n'
  reply[#reply + 1] = found[i]
  reply[#reply + 1] = found[i + 1]
  reply[#reply + 1] = header(letter)
  bytes = bytes + #reply[#reply]
end
return reply
