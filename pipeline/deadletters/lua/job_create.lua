-- Note a job that is asked for, unless it was asked for before.
-- ARGV    now, its id, fields of it, each with its value
-- Returns 1, or 0 when there is such a job already
local now, id = ms(ARGV[1]), ARGV[2]
local key = P .. 'jobs:job:' .. id
free_first(P)
if redis.call('EXISTS', key) == 1 then return 0 end
redis.call('HSET', key, 'state', 'filling', 'created_at', int(now), unpack(ARGV, 3))
redis.call('ZADD', P .. 'jobs', int(now), id)
redis.call('SADD', P .. 'jobs:active', id)
for _, old in ipairs(redis.call('ZRANGE', P .. 'jobs', 0, -JOBS_KEPT - 1)) do
  if redis.call('SISMEMBER', P .. 'jobs:active', old) == 0 then
    redis.call('ZREM', P .. 'jobs', old)
    redis.call('DEL', P .. 'jobs:job:' .. old, P .. 'jobs:sent:' .. old)
  end
end
return 1
