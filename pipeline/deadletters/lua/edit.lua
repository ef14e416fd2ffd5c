-- Replace a dead letter that is still what it was.
-- ARGV    id, SHA-1 of the letter as it was, the letter as it is to be
-- Returns 1, or 0 when it has changed or is gone
local letter = redis.call('HGET', P .. 'dead', ARGV[1])
if not letter or redis.sha1hex(letter) ~= ARGV[2] then return 0 end
redis.call('HSET', P .. 'dead', ARGV[1], ARGV[3])
return 1
