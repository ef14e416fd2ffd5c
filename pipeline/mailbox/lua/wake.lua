-- Take expired loans back, then lend the longest-due mailboxes.
-- KEYS[2] the lane's Celery queue (list)
-- ARGV    now, lane, loan ms, bound of out, longest Celery queue to publish to, this waker's own last
--         tick (0 = none), scopes of the lane's gates...
-- Returns {now, state of the gates, mailbox...}: what to publish
local now, lane, loan = ms(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local bound, longest, own = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local scopes = {}
for i = 7, #ARGV do scopes[#scopes + 1] = ARGV[i] end
local due, out, home = P .. 'due:' .. lane, P .. 'out:' .. lane, P .. 'lane:' .. lane

redis.call('HDEL', home, 'room') -- a first write that frees: see lib.lua

local seen = redis.call('HMGET', home, 'tick', 'stopped', 'shut', 'stood')
local last, stopped = tonumber(seen[1] or '0'), tonumber(seen[2] or '0')

-- Nobody ticked for long although this waker was there before: Redis or the machine stood still. The
-- owners stood still too, so their loans are extended once instead of expiring; not again before somebody
-- has ticked in time, or a waker that is always late would keep the loans of the dead for ever.
local gap = loan / 2
local late = now - last > gap
local stood = late and seen[4] == '1'
if late and not stood and own > 0 and last - own < gap then
  stood = true
  for _, box in ipairs(redis.call('ZRANGEBYSCORE', out, '-inf', int(now + loan))) do
    redis.call('ZADD', out, 'XX', int(now + loan), box)
  end
end

for _, box in ipairs(redis.call('ZRANGEBYSCORE', out, '-inf', int(now), 'LIMIT', 0, 500)) do
  local record = book(P, lane, box)
  redis.call('ZREM', out, box)
  if redis.call('LLEN', mail(P, lane, box)) == 0 then
    redis.call('DEL', record)
  else
    if redis.call('HDEL', record, 'token', 'step') > 0 then
      redis.call('HINCRBY', record, 'strikes', 1)
      local left = redis.call('HMGET', record, 'singles', 'lent')
      if tonumber(left[1] or '0') == 0 then redis.call('HSET', record, 'singles', left[2] or '1') end
    end
    redis.call('ZADD', due, redis.call('HGET', record, 'due') or int(now), box)
  end
end

local state = gate(P, scopes, now)
if seen[3] == '1' then stopped = stopped + math.max(0, now - last) end
redis.call('HSET', home, 'tick', int(now), 'stopped', int(stopped), 'shut', state == 'open' and '0' or '1',
  'stood', stood and '1' or '0')

local reply = { int(now), state }
local lent = redis.call('ZCARD', out)
local room = bound - lent
if state == 'probe' then room = lent == 0 and 1 or 0 end
if state == 'closed' or redis.call('LLEN', KEYS[2]) >= longest then room = 0 end
if room > 0 then
  local next = redis.call('ZRANGEBYSCORE', due, '-inf', int(now), 'WITHSCORES', 'LIMIT', 0, room)
  for i = 1, #next, 2 do
    redis.call('ZREM', due, next[i])
    redis.call('ZADD', out, int(now + loan), next[i])
    redis.call('HSET', book(P, lane, next[i]), 'due', next[i + 1], 'probe', state == 'probe' and '1' or '0')
    reply[#reply + 1] = next[i]
  end
end
return reply
