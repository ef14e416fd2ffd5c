-- Appends entries to the raw stream, all of them or none.
-- KEYS[1] the raw stream
-- KEYS[2] how far the import is that they come from; without it, none of this
-- ARGV    with KEYS[2]: what lies there now, what is to lie there, for how long (s)
--         how many words follow, the fields that each entry has beside its event (name, value, ...), and the events (JSON)
-- Returns how long the stream is now; -1, and nothing is appended, if something else lies in KEYS[2].
local at = 1
if KEYS[2] then
  if (redis.call('GET', KEYS[2]) or '') ~= ARGV[1] then return -1 end
  at = 4
end
local words = tonumber(ARGV[at])
local fields = { unpack(ARGV, at + 1, at + words) }
for i = at + words + 1, #ARGV do redis.call('XADD', KEYS[1], '*', 'event', ARGV[i], unpack(fields)) end
if KEYS[2] then redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[3]) end
return redis.call('XLEN', KEYS[1])
