-- Replace a dead letter that is still what it was.
-- ARGV    id, the letter as it was, the letter as it is to be
-- Returns 1, or 0 when it has changed or is gone
if redis.call('HGET', P .. 'dead', ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HSET', P .. 'dead', ARGV[1], ARGV[3])
return 1
