-- Close a gate for a reason; an earlier closure of the same reason is replaced.
-- KEYS[1] the gate
-- ARGV    reason, closure (JSON)
-- Returns 1 when there was none
free_first(KEYS[1])
return redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
