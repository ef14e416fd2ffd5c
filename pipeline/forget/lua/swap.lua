-- Replace a text that is still what it was, and keep when it ends.
-- KEYS[2] a string, or a hash
-- ARGV    field ('' for a string), the text as it was, as it is to be ('' removes it)
-- Returns 1, or 0 when it has changed or is gone
local key, field, before, after = KEYS[2], ARGV[1], ARGV[2], ARGV[3]
free_first(key)
if field ~= '' then
  if redis.call('HGET', key, field) ~= before then return 0 end
  if after == '' then
    redis.call('HDEL', key, field)
  else
    redis.call('HSET', key, field, after)
  end
  return 1
end
if redis.call('GET', key) ~= before then return 0 end
if after == '' then
  redis.call('DEL', key)
  return 1
end
local life = redis.call('PTTL', key)
redis.call('SET', key, after)
if life > 0 then redis.call('PEXPIRE', key, life) end
return 1
