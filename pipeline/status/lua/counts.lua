-- Counters and raw backlog at one moment. A script, because Redis 6.2 refuses even a transaction of reads
-- when its memory is full.
-- KEYS[1] the raw stream, KEYS[2...] counters of each account
-- Returns {seconds, microseconds, entries in the raw stream, {counter, value, ...}, ...}
local now = redis.call('TIME')
local reply = { now[1], now[2], redis.call('XLEN', KEYS[1]) }
for i = 2, #KEYS do reply[#reply + 1] = redis.call('HGETALL', KEYS[i]) end
return reply
