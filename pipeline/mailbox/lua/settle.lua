-- Write what became of a claim's first events and, if asked to, give the mailbox back.
-- ARGV    now, lane, box, token, step, settlement (JSON):
--   pop      events that are through, from the head
--   count    counter -> by how much
--   dead     [[position among the popped from 1, id, letter header], ...]; the raw bytes are taken from the entry
--   state    event seq -> its state (JSON), of events that stay
--   intent   '' forgets it, text replaces it, absent keeps it
--   hold     what its heads are held for (JSON); absent keeps it
--   learn    fields of the user's memory;  cart, cart_keep: the cart we left behind and for how many ms to know it
--   keep     ms for which a user's memory is kept
--   back     give the mailbox back; due: when (absent = now, 'old' = when it was due);
--   at       what time the owner believes it is (absent = now): it reckons from the time of its claim
--   waits    what it waits for; expected: what the decision to wait was based on {email, identified, head}
--   wake     lanes in which mailboxes of this user may wait for what happened
-- Returns {'yes' | 'again' | 'stale', events left}
local now, lane, box, token, step = ms(ARGV[1]), ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local settlement = cjson.decode(ARGV[6])
local state_key, list = mailbox_state(P, lane, box), mail(P, lane, box)

local mine = owner(P, lane, box, token, step)
if mine ~= 'yes' then return { mine, redis.call('LLEN', list) } end

-- All that could fail comes before the first write: a script is not rolled back.
local popped = settlement.pop > 0 and redis.call('LRANGE', list, 0, settlement.pop - 1) or {}
local states, letters, heads = {}, {}, {}
for i, entry in ipairs(popped) do states[i] = 's:' .. cjson.decode(header(entry)).seq end
for i, letter in ipairs(settlement.dead) do
  letters[i], heads[i] = letter[3] .. '\n' .. raw(popped[letter[1]]), cjson.decode(letter[3])
end

redis.call('LTRIM', list, settlement.pop, -1) -- frees first: see lib.lua
if #popped > 0 then
  tally(P, COUNT_WAITING .. ':' .. lane, -#popped)
  redis.call('HDEL', state_key, unpack(states))
end
for i, letter in ipairs(settlement.dead) do bury(P, letter[2], letters[i], heads[i]) end
for counter, by in pairs(settlement.count) do tally(P, counter, by) end

if settlement.intent == '' then
  redis.call('HDEL', state_key, 'intent')
elseif settlement.intent then
  redis.call('HSET', state_key, 'intent', settlement.intent)
end
if settlement.hold then redis.call('HSET', state_key, 'hold', settlement.hold) end
for seq, state in pairs(settlement.state) do redis.call('HSET', state_key, 's:' .. seq, state) end

local memory = P .. 'user:' .. box
for field, value in pairs(settlement.learn) do
  -- An email that was looked up does not replace what an event showed meanwhile.
  local looked_up = field == 'email' or field == 'email_at'
  redis.call(looked_up and 'HSETNX' or 'HSET', memory, field, value)
end
if next(settlement.learn) then redis.call('PEXPIRE', memory, int(settlement.keep)) end
if settlement.cart then
  redis.call('SET', P .. 'cart:' .. box, settlement.cart, 'PX', int(settlement.cart_keep))
end
-- An order may have died of an email that was learned since its claim, and learn_email brings a hundred back.
if awaits_email(lane) and #popped > 0 and redis.call('HEXISTS', memory, 'email') == 1 then
  recall(P, box, now)
end
for _, other in ipairs(settlement.wake) do
  wake_waiting(P, other, box, now, { user = true, identify = true })
end

-- Progress resets the strike count. In one-at-a-time mode it resets to SINGLY_AFTER, so that the next event is judged on
-- its own. So it does for an event that is found waiting: it may wait for days, and meet deaths by
-- chance. An event that is retried keeps its strikes: it may kill its worker each time its call is made.
local trouble = redis.call('HMGET', state_key, 'strikes', 'singles')
local strikes, singles = tonumber(trouble[1] or '0'), tonumber(trouble[2] or '0') - #popped
if strikes >= SINGLY_AFTER and singles > 0 then
  if #popped > 0 or settlement.waits then
    redis.call('HSET', state_key, 'strikes', SINGLY_AFTER, 'singles', singles)
  end
elseif #popped > 0 then
  redis.call('HDEL', state_key, 'strikes', 'singles')
end

local left = redis.call('LLEN', list)
if not settlement.back then
  redis.call('HSET', state_key, 'step', tonumber(step) + 1)
  return { 'yes', left }
end

redis.call('ZREM', P .. 'leased:' .. lane, box)
if left == 0 then
  redis.call('DEL', state_key)
  return { 'yes', 0 }
end
redis.call('HDEL', state_key, 'token', 'step')
local due = settlement.due or now
if due == 'old' then due = tonumber(was_due(state_key, now)) end
local ahead = (settlement.at or now) - now
if ahead > CLOCK_STEP_MS then due = due - ahead end -- the clock has been set back since the claim
if settlement.waits then
  redis.call('HSET', state_key, 'waits', settlement.waits)
  local head = redis.call('LINDEX', mail(P, IDENTIFY_LANE, box), 0)
  local have = redis.call('HMGET', memory, 'email', 'identified')
  if (have[1] or '') ~= settlement.expected.email or (have[2] or '') ~= settlement.expected.identified
      or (head and header(head) or '') ~= settlement.expected.head then
    due = now
  end
end
redis.call('ZADD', P .. 'due:' .. lane, int(due), box)
return { 'yes', left }
