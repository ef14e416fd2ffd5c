-- Put the copy of the audit trail in its place, unless something was added since it was made.
-- ARGV    id of the newest entry that was copied
-- Returns 1, or 0 when there is a newer one
local newest = redis.call('XREVRANGE', P .. 'audit', '+', '-', 'COUNT', 1)[1]
if not newest or newest[1] ~= ARGV[1] then return 0 end
free_first(P)
redis.call('RENAME', P .. 'audit:copy', P .. 'audit')
redis.call('PERSIST', P .. 'audit')
return 1
