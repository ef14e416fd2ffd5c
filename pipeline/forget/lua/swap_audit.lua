-- Put the copy of the audit trail in its place, unless something was added since it was made, or it is not whole.
-- KEYS[2] the copy, KEYS[3] the lease of the erasure that runs
-- ARGV    id of the newest entry that was copied, how many were, the token of the lease
-- Returns 1, or 0 when there is a newer one, the copy is not whole, or the lease is another's
local newest = redis.call('XREVRANGE', P .. 'audit', '+', '-', 'COUNT', 1)[1]
if not newest or newest[1] ~= ARGV[1] then return 0 end
if redis.call('GET', KEYS[3]) ~= ARGV[3] or redis.call('XLEN', KEYS[2]) ~= tonumber(ARGV[2]) then return 0 end
free_first(P)
redis.call('RENAME', KEYS[2], P .. 'audit')
redis.call('PERSIST', P .. 'audit')
return 1
