-- Note up to where the raw stream belongs to what a reset removes: split.lua drops it, also from a batch in hand.
-- KEYS[2] the raw stream
-- Returns the id of its newest entry, '' without any
redis.call('DEL', P .. 'reset') -- frees first: see lib.lua
local newest = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
if not newest then return '' end
redis.call('SET', P .. 'reset', newest[1])
return newest[1]
