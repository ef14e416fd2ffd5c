-- Put a block of the log of outcomes in the place of one, as the newest; nothing when the other is gone.
-- KEYS[1] the account's prefix
-- ARGV    part, id of the block that goes, records, index and data of the new one (all '' for none)
-- Returns 1, or 0 when the block was gone
local key, book, id = P .. 'trace:' .. ARGV[1], P .. 'trace', ARGV[2]
local old = redis.call('XRANGE', key, id, id)[1]
if not old then return 0 end
local function count(records, bytes)
  redis.call('HINCRBY', book, 'records:' .. ARGV[1], records)
  redis.call('HINCRBY', book, 'bytes:' .. ARGV[1], bytes)
end
redis.call('XDEL', key, id) -- frees first: see lib.lua
count(-old[2][2], -(#old[2][4] + #old[2][6] + TRACE_BLOCK_BYTES))
if ARGV[3] ~= '' then
  redis.call('XADD', key, '*', 'n', ARGV[3], 'i', ARGV[4], 'd', ARGV[5])
  count(ARGV[3], #ARGV[4] + #ARGV[5] + TRACE_BLOCK_BYTES)
end
return 1
