-- Write what became of the first events of claims and, where it is asked for, give their mailboxes back.
-- ARGV    now, most work, for how many ms a user's memory is kept, then for each claim: lane, box, token, step,
--   settlement (JSON), in which what says nothing is absent:
--   pop      events that are through, from the head;  gone: the fields of the state that go
--   count    counter -> by how much
--   dead     [[position among the popped from 1, id, letter header], ...]
--   packed   [raw bytes of those, packed, ...]; where they are absent or '', the raw bytes are taken from the entry
--   state    fields of the mailbox's state, of events that stay and of the mailbox itself -> what is put into them
--   intent   '' forgets it, text replaces it, absent keeps it
--   learn    fields of the user's memory;  cart, cart_keep: the cart we left behind and for how many ms to know it
--   cart_of  the address to which that was written, if it is known
--   back     give the mailbox back; due: when (absent = now, 'old' = when it was due);
--   at       what time the owner believes it is (absent = now): it reckons from the time of its claim
--   waits    what it waits for; expected: what the decision to wait was based on {email, identified, head}, or
--            {order}: what another mailbox had reserved
--   bulk     how many events it holds, if all of them may wait as bulk from now on
--   lift     the user for whose mailboxes it waits: if this mailbox is live they are so, too
--   wake     lanes in which mailboxes of this user may wait for what happened
-- Returns 0, and for each claim, in order: {'yes' | 'again' | 'stale', events left},
--         {'failed', why} when the settlement or what lies in the mailbox is at fault, or
--         {'later'} when those before it were work enough for one script; nothing was written of it
local now, most_work, keep = ms(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local FIRST, FIELDS = 4, 5
local counts, work, calls = {}, 0, {}

free_first(P)

local function add(counter, by) counts[counter] = (counts[counter] or 0) + by end

-- Fields of a hash at once: those in `set` are written, those in `gone` removed.
local function change(key, set, gone)
  if #set > 0 then redis.call('HSET', key, unpack(set)) end
  if #gone > 0 then redis.call('HDEL', key, unpack(gone)) end
end

-- refused: the addresses that it adds to the memory, decoded, or nil.
local function learn(memory, fields, refused)
  local known = {}
  for field, value in pairs(fields) do
    if field == 'email' then
      -- An email that was looked up does not replace what an event showed meanwhile.
      redis.call('HSETNX', memory, field, value)
    else
      known[#known + 1] = field
      known[#known + 1] = value
    end
  end
  change(memory, known, {})
  -- An address that was refused is learned no more.
  local email = refused and redis.call('HGET', memory, 'email')
  if email and is_refused(refused, email, now) then
    redis.call('HDEL', memory, 'email', 'email_strength', 'email_at', 'email_by')
  end
  redis.call('PEXPIRE', memory, keep)
end

-- What the head of a mailbox had reserved, now that it is through. Another of that id may have been posted before.
local function close_order(lane, box, order, settlement, head)
  local posted = settlement.count and settlement.count[COUNT_DELIVERED]
  end_order(P, lane, box, order, posted and ORDER_POSTED or head and head.pending_intent, now)
  if not posted then return end
  local basket, id = basket_and_id(order)
  local known = redis.call('HGETALL', P .. 'order:' .. id)
  for i = 1, #known, 2 do
    if known[i] ~= basket and known[i + 1] == ORDER_POSTED then
      add(COUNT_ORDER_ID_REUSED, 1)
      if redis.call('INCR', P .. 'reused') == 1 then redis.call('PEXPIRE', P .. 'reused', REUSED_WINDOW_MS) end
      return
    end
  end
end

-- When a mailbox that waits is due: now, if what it waits for has come since the decision to wait.
local function due_waiting(lane, state_key, memory, box, settlement, due, is_bulk)
  redis.call('HSET', state_key, 'waits', settlement.waits)
  if settlement.expected.order then
    local basket, id = basket_and_id(settlement.expected.order)
    local holder = holder_of(P, lane, basket, id)
    if not holder then return now end
    redis.call('HSET', P .. 'order:' .. id, 'waiter', box)
    if not is_bulk then lift(P, lane, holder, now) end
    return due
  end
  local head = redis.call('LINDEX', mail(P, IDENTIFY_LANE, box), 0)
  if head and not is_bulk then lift(P, IDENTIFY_LANE, box, now) end
  local have = redis.call('HMGET', memory, 'email', 'identified')
  local expected = settlement.expected
  local is_news = (have[1] or '') ~= expected.email or (have[2] or '') ~= expected.identified
  return (is_news or (head and header(head) or '') ~= expected.head) and now or due
end

local function settle(lane, box, token, step, text)
  local state_key, list = mailbox_state(P, lane, box), mail(P, lane, box)
  local have = redis.call('HMGET', state_key, 'token', 'step', 'strikes', 'singles', 'due', 'order', 'lifted')
  local mine, left = whose(have, token, step), redis.call('LLEN', list)
  if mine ~= 'yes' then return { mine, left } end

  -- All that could fail comes before the first write: a script is not rolled back.
  local settlement = cjson.decode(text)
  local popped, dead = math.min(settlement.pop or 0, left), settlement.dead or {}
  local refused = settlement.learn and settlement.learn.refused and cjson.decode(settlement.learn.refused)
  local memory, cart = P .. 'user:' .. box, P .. 'cart:' .. box
  local letters, heads = {}, {}
  local entries = #dead > 0 and redis.call('LRANGE', list, 0, popped - 1)
  for i, letter in ipairs(dead) do
    local packed = settlement.packed and settlement.packed[i] ~= '' and settlement.packed[i]
    letters[i], heads[i] = letter[3] .. '\n' .. (packed or raw(entries[letter[1]])), cjson.decode(letter[3])
  end
  work = work + 1 + 2 * #letters
  local owed = have[7] ~= '0' and 1 or step ~= '0' and 1 - BULK_SHARE or 0
  calls[lane] = (calls[lane] or 0) + owed
  left = left - popped

  local is_over, lifted, was_bulk = settlement.back and left == 0, have[7], have[7] == '0'
  if is_over then
    redis.call('DEL', list, state_key)
  elseif popped > 0 then
    redis.call('LTRIM', list, popped, -1)
    if lifted then
      lifted = int(math.max(0, tonumber(lifted) - popped))
      redis.call('HSET', state_key, 'lifted', lifted)
    end
  end
  if popped > 0 then add(COUNT_WAITING .. ':' .. lane, -popped) end
  for i, letter in ipairs(dead) do bury(P, letter[2], letters[i], heads[i]) end
  if lane == IDENTIFY_LANE and #letters > 0 then forget_optout(P, box) end
  for counter, by in pairs(settlement.count or {}) do add(counter, by) end

  local set, gone = {}, settlement.gone or {}
  if have[6] and popped > 0 then
    close_order(lane, box, have[6], settlement, heads[1])
    gone[#gone + 1] = 'order'
  end
  local function put(field, value)
    set[#set + 1] = field
    set[#set + 1] = value
  end
  if settlement.intent == '' then
    gone[#gone + 1] = 'intent'
  elseif settlement.intent then
    put('intent', settlement.intent)
  end
  for field, state in pairs(settlement.state or {}) do put(field, state) end

  if settlement.learn then learn(memory, settlement.learn, refused) end
  if settlement.cart then redis.call('SET', cart, settlement.cart, 'PX', int(settlement.cart_keep)) end
  if settlement.cart_of then
    redis.call('SET', P .. 'cart-of:' .. settlement.cart_of, settlement.cart, 'PX', int(settlement.cart_keep))
  end
  -- An order may have died of an email that was learned since its claim, and learn_email brings some back.
  if awaits_email(lane) and popped > 0 and redis.call('HEXISTS', memory, 'email') == 1 then
    local recalled = recall(P, box, now, was_bulk)
    if recalled > 0 then
      work, left, lifted = work + recalled, redis.call('LLEN', list), redis.call('HGET', state_key, 'lifted')
    end
  end
  for _, other in ipairs(settlement.wake or {}) do
    wake_waiting(P, other, box, now, { user = true, identify = true })
  end

  if settlement.back then redis.call('ZREM', P .. 'leased:' .. lane, box) end
  if is_over and left == 0 then return { 'yes', 0 } end

  -- Progress resets the strike count. In one-at-a-time mode it resets to SINGLY_AFTER, so that the next event is
  -- judged on its own. So it does for an event that is found waiting: it may wait for days, and meet deaths by
  -- chance. An event that is retried keeps its strikes: it may kill its worker each time its call is made.
  local strikes, singles = tonumber(have[3] or '0'), tonumber(have[4] or '0') - popped
  if strikes >= SINGLY_AFTER and singles > 0 then
    if popped > 0 or settlement.waits then
      put('strikes', SINGLY_AFTER)
      put('singles', singles)
    end
  elseif popped > 0 and (have[3] or have[4]) then
    gone[#gone + 1] = 'strikes'
    gone[#gone + 1] = 'singles'
  end
  if not settlement.back then
    put('step', tonumber(step) + 1)
    change(state_key, set, gone)
    return { 'yes', left }
  end
  gone[#gone + 1] = 'token'
  gone[#gone + 1] = 'step'
  if settlement.bulk == left then
    lifted = '0'
    put('lifted', lifted)
  end
  change(state_key, set, gone)
  local due = settlement.due or now
  if due == 'old' then due = tonumber(due_before(have[5], now)) end
  local ahead = (settlement.at or now) - now
  if ahead > CLOCK_STEP_MS then due = due - ahead end -- the clock has been set back since the claim
  local is_bulk = lifted == '0'
  if settlement.waits then due = due_waiting(lane, state_key, memory, box, settlement, due, is_bulk) end
  for _, other in ipairs(settlement.lift and not is_bulk and LANES or {}) do lift(P, other, settlement.lift, now) end
  redis.call('ZADD', due_set(P, lane, is_bulk), int(due), box)
  return { 'yes', left }
end

local reply = { 0 }
for i = FIRST, #ARGV, FIELDS do
  if work >= most_work then
    reply[#reply + 1] = { 'later' }
  else
    local ok, done = pcall(settle, ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4])
    reply[#reply + 1] = ok and done or { 'failed', why(done) }
  end
end
for counter, by in pairs(counts) do tally(P, counter, by) end
-- What bulk is owed: see wake.lua. A settlement follows a call, and the first one for a bulk mailbox was paid for by its lease.
for lane, by in pairs(calls) do redis.call('HINCRBY', P .. 'lane:' .. lane, 'owed', by) end
return reply
