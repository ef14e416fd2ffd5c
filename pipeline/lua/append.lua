-- Appends entries to the raw stream, all of them or none.
-- KEYS[1] the raw stream
-- ARGV    how many words follow, the fields that each entry has beside its event (name, value, ...), and the events (JSON)
-- Returns how long the stream is now
local words = tonumber(ARGV[1])
local fields = { unpack(ARGV, 2, words + 1) }
for i = words + 2, #ARGV do redis.call('XADD', KEYS[1], '*', 'event', ARGV[i], unpack(fields)) end
return redis.call('XLEN', KEYS[1])
