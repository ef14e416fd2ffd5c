-- Forget where names lead.
-- KEYS[2] one of the hashes of aliases
-- ARGV    field...
-- Returns how many were there
local gone = redis.call('HDEL', KEYS[2], unpack(ARGV)) -- frees first: see lib.lua
if gone > 0 then redis.call('HINCRBY', P .. 'aliases', 'names', -gone) end
return gone
