-- Remove entries of the raw stream, or of what is held; they are counted as removed.
-- KEYS[2] the stream
-- ARGV    id...
-- Returns how many were there
local gone = redis.call('XDEL', KEYS[2], unpack(ARGV)) -- frees first: see lib.lua
if gone > 0 then tally(P, COUNT_REMOVED, gone) end
return gone
