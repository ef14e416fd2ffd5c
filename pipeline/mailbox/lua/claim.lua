-- Become the one owner of leased mailboxes of one lane.
-- ARGV    now, lane, lease ms, most bytes of entries, what this process delivers to, number of scopes of the lane's gates,
--         scopes..., then for each mailbox: its name, most events
-- Returns {now, lane clock}, and for each mailbox, in order:
--           {'no'} when there is nothing to own (a lost, doubled or late wake-up, or one of another target),
--           {'later'} when the entries of those before it are as much as one reply may hold,
--           {'failed', why} when what lies in it is at fault; nothing was written of it, else
--           {token, header of the user lane's head or '', cart or '', the user's address, the cart that was written there or
--            '', state of the mailbox (flat), user (flat), entry...}
local now, lane, lease, most_bytes = ms(ARGV[1]), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local target, first = ARGV[5], 7 + tonumber(ARGV[6])
local scopes = {}
for i = 7, first - 1 do scopes[#scopes + 1] = ARGV[i] end
local leased = P .. 'leased:' .. lane
local boxes, mosts, carts = {}, {}, {}
for i = first, #ARGV, 2 do
  boxes[#boxes + 1], mosts[#mosts + 1] = ARGV[i], tonumber(ARGV[i + 1])
  carts[#carts + 1] = P .. 'cart:' .. ARGV[i]
end

free_first(P)
local reply = { { int(now), int(lane_clock(P, lane, now)) } }
local owner, gates = redis.call('GET', P .. 'target'), gate(P, scopes, now)
local leases, held = redis.call('ZMSCORE', leased, unpack(boxes)), redis.call('MGET', unpack(carts))
-- The time is part of a token, or a Redis that forgot its last second would give the same one twice.
local tokens = redis.call('INCRBY', P .. 'token', #boxes) - #boxes
-- The processes of all targets consume the same Celery queues: those of the right one publish nothing for a while.
local own = owner and is_own(target, owner)
if owner and not own then redis.call('HSET', P .. 'lane:' .. lane, 'strayed', int(now)) end
local bytes, is_full, extended, stamp, until_then = 0, false, {}, '-' .. int(now), int(now + lease)

-- The first of these entries, no more than a reply holds; nil when another reply has room for more of them.
local function that_fit(entries)
  local taken, size = {}, 0
  for i, entry in ipairs(entries) do
    if bytes + size + #entry > most_bytes and bytes + size > 0 then
      if bytes > 0 then return nil end
      break
    end
    taken[i], size = entry, size + #entry
  end
  bytes = bytes + size
  return taken
end

-- The address that is known of a user, and what was written to it for another user: Sailthru keeps a cart by its address.
-- A mailbox may have an address for a name; of any other name there is no such cart.
local function cart_of(box, memory, own)
  local email = box
  for n = 1, #memory, 2 do
    if memory[n] == 'email' then email = memory[n + 1] end
  end
  email = string.lower(email)
  local cart = redis.call('GET', P .. 'cart-of:' .. email)
  return email, cart and cart ~= own and cart or ''
end

local function claim(i, box)
  local state_key = mailbox_state(P, lane, box)
  if is_full then return { 'later' } end -- and read nothing: what waits may be a megabyte in each mailbox
  if not leases[i] then return { 'no' } end
  local flat = redis.call('HGETALL', state_key)
  local state = {}
  for n = 1, #flat, 2 do state[flat[n]] = flat[n + 1] end
  if state.token then return { 'no' } end
  -- After SINGLY_AFTER unsettled claims events are leased one at a time, until all that were leased then are through.
  local singles = tonumber(state.singles or '0')
  local alone = tonumber(state.strikes or '0') >= SINGLY_AFTER and singles > 0
  local entries = redis.call('LRANGE', mail(P, lane, box), 0, alone and 0 or mosts[i] - 1)
  if #entries == 0 then
    redis.call('ZREM', leased, box)
    redis.call('DEL', state_key)
    return { 'no' }
  end
  if not own or gates == 'closed' or (gates == 'probe' and state.probe ~= '1') then
    redis.call('ZREM', leased, box)
    put_back(P, lane, box, state.due, state.lifted, now)
    return { 'no' }
  end
  entries = that_fit(entries)
  if not entries then
    is_full = true
    return { 'later' }
  end
  local head = lane ~= IDENTIFY_LANE and redis.call('LINDEX', mail(P, IDENTIFY_LANE, box), 0)
  local token = int(tokens + i) .. stamp
  local memory, email, cart = redis.call('HGETALL', P .. 'user:' .. box), '', ''
  if awaits_email(lane) then email, cart = cart_of(box, memory, held[i]) end -- the lane of carts
  local found = { token, head and header(head) or '', held[i] or '', email, cart, flat, memory }
  for _, entry in ipairs(entries) do found[#found + 1] = entry end

  if state.waits then redis.call('HDEL', state_key, 'waits') end
  if singles == 0 then
    redis.call('HSET', state_key, 'token', token, 'step', 0, 'claimed', #entries)
  else
    redis.call('HSET', state_key, 'token', token, 'step', 0)
  end
  extended[#extended + 1] = until_then
  extended[#extended + 1] = box
  return found
end

for i, box in ipairs(boxes) do
  local ok, found = pcall(claim, i, box)
  reply[#reply + 1] = ok and found or { 'failed', why(found) }
end
if #extended > 0 then redis.call('ZADD', leased, 'XX', unpack(extended)) end
return reply
