-- Counts what a write key sends in a second, over all processes. The second begins with the first event of it.
-- KEYS[1] the counts of this key
-- ARGV    for each count its name, and by how much it grows
-- Returns the counts, as they are now
local is_first = redis.call('EXISTS', KEYS[1]) == 0
local counts = {}
for i = 1, #ARGV, 2 do counts[#counts + 1] = redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1]) end
if is_first then redis.call('PEXPIRE', KEYS[1], 1000) end
return counts
