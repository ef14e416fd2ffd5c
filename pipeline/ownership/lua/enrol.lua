-- Remember which accounts have been served here.
-- KEYS[1] the accounts
-- ARGV    their names
free_first(KEYS[1])
return redis.call('SADD', KEYS[1], unpack(ARGV))
