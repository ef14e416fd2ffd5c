-- Whether this is the first time in so many ms.
-- KEYS[1] what it is about
-- ARGV    ms
-- Returns 1 or 0
redis.call('HDEL', KEYS[1] .. ':room', 'room') -- a first write that frees: see lib.lua
return redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[1]) and 1 or 0
