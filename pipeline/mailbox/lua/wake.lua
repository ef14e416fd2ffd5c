-- Take expired leases back, then lease the longest-due mailboxes: live ones before bulk.
-- KEYS[2] the lane's Celery queue (list)
-- ARGV    now, lane, lease ms, bound of leased, bound of leased past which bulk has only its share, longest Celery queue
--         to publish to, this waker's own last tick (0 = none), what time it reckons it is since then (0 = it cannot),
--         whether it serves the lane itself (1/0), what it delivers to, scopes of the lane's gates...
-- Returns {now, state of the gates, why to deliver in this process or '', how many are leased now, mailbox...}: what
--         to publish or, when Redis is `full` or the lane's queue is `shared` with another target's processes, to
--         deliver without a message; {now, 'foreign', '', 0, whose it is} when the account is another target's
local now, lane, lease = ms(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local bound, bulk_bound, max_length, own = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local scopes = {}
local reckoned, serves = tonumber(ARGV[8]), ARGV[9] == '1'
local target = ARGV[10]
for i = 11, #ARGV do scopes[#scopes + 1] = ARGV[i] end
local live, bulk = due_set(P, lane), due_set(P, lane, true)
local leased, home = P .. 'leased:' .. lane, P .. 'lane:' .. lane

-- What refuses this write refuses the messages, too. It changes nothing but the very first time.
local full = type(redis.pcall('HSETNX', home, 'tick', 0)) == 'table'
free_first(home)

local seen = redis.call('HMGET', home, 'tick', 'stopped', 'closed', 'stood', 'strayed', 'owed', 'back')
local last, stopped = tonumber(seen[1] or '0'), tonumber(seen[2] or '0')

-- What another target's processes wake is theirs. Where they are gone this one keeps their lane, as behind a
-- closed gate, so that what waits for a person's word comes to no deadline.
local owner = redis.call('GET', P .. 'target')
local foreign = owner and not is_own(target, owner)
if foreign and seen[3] ~= '1' and now - last <= lease then return { int(now), 'foreign', '', 0, owner } end

-- The clock was set back: what is leased, due or closed until some time would stay so for all of the step.
local function step_back()
  for _, box in ipairs(redis.call('ZRANGEBYSCORE', leased, int(now + lease), '+inf')) do
    redis.call('ZADD', leased, 'XX', int(now + lease), box)
  end
  for _, scope in ipairs(scopes) do
    local flat = redis.call('HGETALL', P .. 'gates:' .. scope)
    for i = 1, #flat, 2 do
      local closure = cjson.decode(flat[i + 1])
      closure['until'] = math.min(closure['until'], now + MINUTE_MS)
      redis.call('HSET', P .. 'gates:' .. scope, flat[i], cjson.encode(closure))
    end
  end
end

-- A million mailboxes may be due: each wake-up moves some, those that are due first. What was given back since and is
-- moved as well is looked at too soon, which does no harm. Returns from where the next one goes on; '-' when none is left.
local function move_back(set, step, from)
  if from == '-' then return from end
  from = int(math.max(now + 1, tonumber(from)))
  local ahead = redis.call('ZRANGEBYSCORE', set, from, '+inf', 'WITHSCORES', 'LIMIT', 0, MOVED_BACK_PER_WAKE)
  for i = 1, #ahead, 2 do
    redis.call('ZADD', set, 'XX', int(math.max(now, tonumber(ahead[i + 1]) - step)), ahead[i])
  end
  return #ahead < 2 * MOVED_BACK_PER_WAKE and '-' or ahead[#ahead]
end

-- How far the clock was set back, and from where what is due must still be moved: live ones, bulk ones.
local step, live_from, bulk_from = string.match(seen[7] or '0 - -', '(%d+) (%S+) (%S+)')
if last - now > CLOCK_STEP_MS then
  step_back()
  step, live_from, bulk_from, last = tonumber(step) + last - now, now, now, now
end
if step ~= '0' then
  live_from, bulk_from = move_back(live, step, live_from), move_back(bulk, step, bulk_from)
  if live_from == '-' and bulk_from == '-' then
    redis.call('HDEL', home, 'back')
  else
    redis.call('HSET', home, 'back', table.concat({ int(step), live_from, bulk_from }, ' '))
  end
end

-- The clock was set forward since this waker's last tick, and none has ticked after that: no lease is shorter for
-- it, and no deadline nearer. A call to Redis that took long looks the same, and then costs a dead owner's mailbox
-- that much longer. What was leased, and who ticked, while this wake-up was under way may have done so before the step
-- or after it: half of the step tells them apart.
local skipped = reckoned > 0 and now - reckoned or 0
local half = math.floor(now - skipped / 2)
if skipped > CLOCK_STEP_MS and last <= half then
  local boxes = redis.call('ZRANGEBYSCORE', leased, '-inf', int(half + lease), 'WITHSCORES')
  for i = 1, #boxes, 2 do
    redis.call('ZADD', leased, 'XX', int(tonumber(boxes[i + 1]) + skipped), boxes[i])
  end
  if seen[3] ~= '1' then stopped = stopped + skipped end
end

-- No waker ticked for long although this one was there before: Redis or the machine stood still. The
-- owners stood still too, so their leases are extended once instead of expiring. They are not extended again
-- before a waker has ticked in time. Otherwise a waker that is always late would keep the leases of dead
-- owners for ever.
local gap = lease / 2
local late = now - last > gap
local stood = late and seen[4] == '1'
if late and not stood and own > 0 and last - own < gap then
  stood = true
  for _, box in ipairs(redis.call('ZRANGEBYSCORE', leased, '-inf', int(now + lease))) do
    redis.call('ZADD', leased, 'XX', int(now + lease), box)
  end
end

for _, box in ipairs(redis.call('ZRANGEBYSCORE', leased, '-inf', int(now), 'LIMIT', 0, EXPIRED_PER_WAKE)) do
  local state_key = mailbox_state(P, lane, box)
  redis.call('ZREM', leased, box)
  if redis.call('LLEN', mail(P, lane, box)) == 0 then
    redis.call('DEL', state_key)
  else
    if redis.call('HDEL', state_key, 'token', 'step') > 0 then
      redis.call('HINCRBY', state_key, 'strikes', 1)
      local left = redis.call('HMGET', state_key, 'singles', 'claimed')
      if tonumber(left[1] or '0') == 0 then redis.call('HSET', state_key, 'singles', left[2] or '1') end
    end
    local was = redis.call('HMGET', state_key, 'due', 'lifted')
    put_back(P, lane, box, was[1], was[2], now)
  end
end

-- What bulk is owed counts from when some of it is due.
local bulk_waits = redis.call('ZCOUNT', bulk, '-inf', int(now)) > 0
local owed = bulk_waits and tonumber(seen[6] or '0') or 0
local state = foreign and 'foreign' or gate(P, scopes, now)
if seen[3] == '1' then stopped = stopped + math.max(0, now - last) end
redis.call('HSET', home, 'tick', int(now), 'stopped', int(stopped), 'closed', state == 'open' and '0' or '1',
  'stood', stood and '1' or '0', 'owed', owed)
if foreign then return { int(now), state, '', 0, owner } end

-- A mailbox with SINGLY_AFTER strikes may hold an event that kills its owner. Of these one in the
-- account is leased at a time, so that it takes no other with it again and again, until both look like poison.
local function suspicious(at, box)
  return tonumber(redis.call('HGET', mailbox_state(P, at, box), 'strikes') or '0') >= SINGLY_AFTER
end
local one_is_out = false
local function held_back(box)
  if not suspicious(lane, box) then return false end
  if one_is_out then return true end
  one_is_out = true
  local at, other = unpack(redis.call('HMGET', P .. 'suspect', 'lane', 'box'))
  if at and (at ~= lane or other ~= box)
      and suspicious(at, other) and redis.call('ZSCORE', P .. 'leased:' .. at, other) then
    return true
  end
  redis.call('HSET', P .. 'suspect', 'lane', lane, 'box', box)
  return false
end

local in_use = redis.call('ZCARD', leased)
local shared = seen[5] and now - tonumber(seen[5]) < STRAYED_MS
local in_process = full and 'full' or shared and 'shared' or ''
local reply = { int(now), state, in_process, in_use }
local head = #reply
local capacity = bound - in_use
if state == 'probe' then capacity = in_use == 0 and 1 or 0 end
if state == 'closed' then capacity = 0 end
if in_process ~= '' then
  -- No message is published: only who delivers these mailboxes itself may have them.
  if not serves then capacity = 0 end
elseif redis.call('LLEN', KEYS[2]) >= max_length then
  capacity = 0
end

local until_then, probe = int(now + lease), state == 'probe' and '1' or '0'

-- Lease the longest-due mailboxes of a set, as many as `most`. Returns how many it leased.
local function lease_due(set, most)
  local before, last, passed = #reply, math.min(#reply + most, head + capacity), {}
  while #reply < last and #passed < SUSPECTS_PASSED_OVER do
    local wanted = last - #reply + #passed -- the more are passed over, the fewer times it is asked
    local next = redis.call('ZRANGEBYSCORE', set, '-inf', int(now), 'WITHSCORES', 'LIMIT', #passed, wanted)
    if #next == 0 then break end
    for i = 1, #next, 2 do
      local box = next[i]
      if #reply == last or #passed == SUSPECTS_PASSED_OVER then break end
      if held_back(box) then
        passed[#passed + 1] = box
      else
        redis.call('ZREM', set, box)
        redis.call('ZADD', leased, until_then, box)
        local state_key = mailbox_state(P, lane, box)
        redis.call('HSET', state_key, 'due', next[i + 1], 'probe', probe)
        if set == bulk then redis.call('HSET', state_key, 'lifted', 0) end
        reply[#reply + 1] = box
      end
    end
  end
  -- There may be thousands. What is due behind them need not wait until each has had its turn.
  if #passed == SUSPECTS_PASSED_OVER then
    for _, box in ipairs(passed) do redis.call('ZADD', set, int(now + SUSPECTS_REST_MS), box) end
  end
  return #reply - before
end

-- Bulk has what live leaves, and is owed one call in BULK_SHARE: `owed` counts the calls for live mailboxes (settle.lua),
-- less as many for each of its own. The first of its calls is paid for here, so that none is leased for one call twice.
local A_CALL = BULK_SHARE - 1
local share = math.max(0, math.floor(owed / A_CALL))
local leased_bulk = lease_due(bulk, share)
if leased_bulk < share then owed = math.min(owed, A_CALL) end -- it has not so much that may be leased
owed = owed - leased_bulk * A_CALL
lease_due(live, capacity)
if bulk_waits and lease_due(bulk, bulk_bound - in_use - (#reply - head)) > 0 then owed = 0 end
if bulk_waits then redis.call('HSET', home, 'owed', owed) end
reply[head] = in_use + #reply - head
if owner ~= first_name(target) and #reply > head then redis.call('SET', P .. 'target', first_name(target)) end
return reply
