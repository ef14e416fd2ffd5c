-- Counters and raw backlog at one moment. A script, because Redis 6.2 refuses even a transaction of reads
-- when its memory is full.
-- KEYS[1] the raw stream, KEYS[2] what is held of it, KEYS[3...] counters of each account
-- Returns {seconds, microseconds, entries in the raw stream, entries held, {counter, value, ...}, ...}
local now = redis.call('TIME')
local reply = { now[1], now[2], redis.call('XLEN', KEYS[1]), redis.call('XLEN', KEYS[2]) }
for i = 3, #KEYS do reply[#reply + 1] = redis.call('HGETALL', KEYS[i]) end
return reply
