-- Appends entries to the raw stream, all of them or none, unless some like them were appended lately (rules/once.py).
-- KEYS[1] the raw stream
-- KEYS[2] exists while they are dropped
-- KEYS[3] the account's counters
-- ARGV    for how many ms those that follow are dropped, the counter of what is dropped, how many words follow, the
--         fields that each entry has beside its event (name, value, ...), and the events (JSON)
-- Returns 1 if they were appended, 0 if they were dropped
local words = tonumber(ARGV[3])
local first = words + 4
if not redis.call('SET', KEYS[2], '1', 'NX', 'PX', ARGV[1]) then
  redis.call('HINCRBY', KEYS[3], ARGV[2], #ARGV - first + 1)
  return 0
end
local fields = { unpack(ARGV, 4, words + 3) }
for i = first, #ARGV do redis.call('XADD', KEYS[1], '*', 'event', ARGV[i], unpack(fields)) end
return 1
