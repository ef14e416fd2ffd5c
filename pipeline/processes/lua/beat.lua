-- A process says that it lives. One that is told to stop takes its record away.
-- KEYS[1] hash  records: ID -> `WHEN JSON`, WHEN in ms by Redis' clock
-- KEYS[2] hash  what of an installation was seen when last (ms): each lane, the splitter, HTTP; sampled: when a
--               process took it upon itself to sample the counters
-- ARGV    1 ID  2 JSON, or '' of one that ends  3 records older than this are removed (ms)
--         4 how often counters are sampled (ms)  5... what the process is a part of
-- Returns 1 if it is this process's turn to sample the counters, else 0
free_first(KEYS[1])
local now = ms('')
if ARGV[2] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
  return 0
end
local records = redis.call('HGETALL', KEYS[1])
for i = 1, #records, 2 do
  if now - tonumber(string.match(records[i + 1], '^%d+')) > tonumber(ARGV[3]) then
    redis.call('HDEL', KEYS[1], records[i])
  end
end
redis.call('HSET', KEYS[1], ARGV[1], int(now) .. ' ' .. ARGV[2])
for i = 5, #ARGV do redis.call('HSET', KEYS[2], ARGV[i], int(now)) end
local age = now - tonumber(redis.call('HGET', KEYS[2], 'sampled') or '0')
-- A clock that was set back must not end the sampling for as long.
if age >= 0 and age < tonumber(ARGV[4]) then return 0 end
redis.call('HSET', KEYS[2], 'sampled', int(now))
return 1
