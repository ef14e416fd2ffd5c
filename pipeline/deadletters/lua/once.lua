-- Whether this is the first time in so many ms.
-- KEYS[1] what it is about
-- ARGV    ms
-- Returns 1 or 0
free_first(KEYS[1])
return redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[1]) and 1 or 0
