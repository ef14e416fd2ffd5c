-- Remember one of a lane's deaths, and forget those that are too old or too many.
-- KEYS[1] the lane's deaths
-- ARGV    death (JSON), when (ms), for how many ms deaths are remembered, the most that are
-- Returns the deaths remembered, oldest first
local at, window, most = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', int(at - window)) -- frees first: see lib.lua
redis.call('ZADD', KEYS[1], int(at), ARGV[1])
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -most - 1)
redis.call('PEXPIRE', KEYS[1], window)
return redis.call('ZRANGE', KEYS[1], 0, -1)
