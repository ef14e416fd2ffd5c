-- Shared by every script (prepended to each by scripts.py, behind the names and numbers that Python says: prelude.py).
--
-- Keys are all under the account's prefix P = KEYS[1] = "sailpipe:ACCOUNT:"; pipeline/storage/keys.py names each, with what
-- lies in it.
--
-- Redis refuses a script's first write when its memory is full, unless that write frees memory; later
-- ones pass. So scripts that must not fail then, all that delivery needs, begin with a deletion: only
-- what is delivered makes room.

local P = KEYS[1]

-- The first entries of a part of a stream: as many as `most`, and as RAW_READ_BYTES hold, but one in any case.
local function read_stream(key, from, to, most)
  local read, bytes = {}, 0
  while #read < most do
    local wanted = math.min(RAW_READ_AT_ONCE, most - #read)
    local some = redis.call('XRANGE', key, from, to, 'COUNT', wanted)
    for _, one in ipairs(some) do
      for _, text in ipairs(one[2]) do bytes = bytes + #text end
      if bytes > RAW_READ_BYTES and #read > 0 then return read end
      read[#read + 1] = one
    end
    if #some < wanted then break end
    from = '(' .. some[#some][1]
  end
  return read
end

-- Milliseconds; tests hand their own time in, everything else uses Redis' clock.
local function ms(given)
  if given ~= '' then return tonumber(given) end
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- For a script whose first write would need memory (see above): a write that frees some, if only in name.
local function free_first(key) redis.call('DEL', key .. ':none') end

-- Whether a target's names, a line each, are those of an account's owner. The first is that of the API key in use, which
-- is written down; the others are of keys that are listed beside it while the key is being changed.
local function is_own(names, owner)
  return string.find('\n' .. names .. '\n', '\n' .. owner .. '\n', 1, true) ~= nil
end
local function first_name(names) return string.match(names, '^[^\n]+') end

local function int(number) return string.format('%.0f', number) end

-- Count so many events; the counters are in pipeline/counters.py.
local function tally(p, counter, by) redis.call('HINCRBY', p .. 'counts', counter, by) end

local function mail(p, lane, box) return p .. 'mail:' .. lane .. ':' .. box end
local function mailbox_state(p, lane, box) return p .. 'state:' .. lane .. ':' .. box end

local function header(blob) return string.sub(blob, 1, string.find(blob, '\n', 1, true) - 1) end
local function raw(blob) return string.sub(blob, string.find(blob, '\n', 1, true) + 1) end

local function awaits_email(lane)
  for _, one in ipairs(EMAIL_LANES) do
    if one == lane then return true end
  end
  return false
end

-- A lane's clock stands still behind a closed gate, so that waiting there counts towards no deadline.
local function lane_clock(p, lane, now)
  local home = redis.call('HMGET', p .. 'lane:' .. lane, 'stopped', 'closed', 'tick')
  local stopped = tonumber(home[1] or '0')
  if home[2] == '1' then stopped = stopped + math.max(0, now - tonumber(home[3])) end
  return now - stopped
end

-- 'open', 'probe' (lease one to see whether it works again) or 'closed'; forgets what has run out.
local function gate(p, scopes, now)
  local state = 'open'
  for _, scope in ipairs(scopes) do
    local flat = redis.call('HGETALL', p .. 'gates:' .. scope)
    for i = 1, #flat, 2 do
      local closure = cjson.decode(flat[i + 1])
      if closure['until'] == 0 or closure['until'] > now then
        state = 'closed'
      elseif not closure.probe then
        redis.call('HDEL', p .. 'gates:' .. scope, flat[i])
      elseif state == 'open' then
        state = 'probe'
      end
    end
  end
  return state
end

-- When a leased mailbox was due, by what its state says. Never later than now, unless the clock has been set back
-- meanwhile.
local function due_before(due, now) return int(math.min(now, tonumber(due or now))) end

-- A mailbox is bulk while all its entries are, and then waits in a set of its own. In the state of one that is leased
-- or holds both, `lifted` says how many entries from its head go with a live one ('0': it is bulk; absent: all are live).
local function due_set(p, lane, is_bulk) return p .. (is_bulk and 'bulk:' or 'due:') .. lane end

-- What a mailbox holds by now goes with a live event: one of its own, or one that waits for it. What it waits for itself
-- is lifted by its next owner, so that one is to look now.
local function lift(p, lane, box, now)
  local state_key, bulk = mailbox_state(p, lane, box), due_set(p, lane, true)
  local due, have = redis.call('ZSCORE', bulk, box), redis.call('HMGET', state_key, 'lifted', 'waits')
  if not due and not have[1] then return end
  redis.call('HSET', state_key, 'lifted', redis.call('LLEN', mail(p, lane, box)))
  if not due then return end
  redis.call('ZREM', bulk, box)
  redis.call('ZADD', due_set(p, lane), have[2] and due_before(due, now) or due, box)
end

-- A mailbox that was leased is due again when it was, by what its state says.
local function put_back(p, lane, box, due, lifted, now)
  redis.call('ZADD', due_set(p, lane, lifted == '0'), due_before(due, now), box)
end

-- What a pcall caught, as text.
local function why(caught) return type(caught) == 'table' and caught.err or tostring(caught) end

local function look_now(p, lane, box, now)
  for _, set in ipairs({ due_set(p, lane), due_set(p, lane, true) }) do
    local due = redis.call('ZSCORE', set, box)
    if due and tonumber(due) > now then
      redis.call('ZADD', set, int(now), box)
      redis.pcall('PUBLISH', 'sailpipe:due', due_set(p, lane)) -- see storage/nudges.py; an ACL may forbid it
    end
  end
end

-- Bring a user's mailbox forward if it waits for one of these: 'email', 'user', 'identify', 'order'.
local function wake_waiting(p, lane, user, now, what)
  local waits = redis.call('HGET', mailbox_state(p, lane, user), 'waits')
  if waits and what[waits] then look_now(p, lane, user, now) end
end

local function post(p, lane, box, entry, now, is_bulk)
  local entries = redis.call('RPUSH', mail(p, lane, box), entry)
  tally(p, COUNT_WAITING .. ':' .. lane, 1)
  local is_new = entries == 1 and not redis.call('ZSCORE', p .. 'leased:' .. lane, box)
  if is_new then
    redis.call('ZADD', due_set(p, lane, is_bulk), int(now), box)
  elseif not is_bulk then
    lift(p, lane, box, now)
  elseif not redis.call('ZSCORE', due_set(p, lane, true), box) then
    redis.call('HSETNX', mailbox_state(p, lane, box), 'lifted', entries - 1)
  end
end

-- A letter's id is its event's messageId (or stream id) as long as that is free. Events of another type or name
-- may have the same messageId: of those each has its own id, which ends in digits of its dedupe key.
local function own_id(id, key) return id .. '~' .. string.sub(key, -8) end

-- A member of `replayed`. An id alone does not tell a letter from a later one of another event.
local function replay_of(id, key) return id .. ' ' .. key end

local function key_of(p, id)
  local letter = redis.call('HGET', p .. 'dead', id)
  return letter and (cjson.decode(header(letter)).key or '')
end

-- The id of the letter that holds the event of this key, or nil. `id` is its messageId, or the letter's own id.
local function find_letter(p, id, key)
  if key_of(p, id) == key then return id end
  local own = own_id(id, key)
  return key_of(p, own) == key and own or nil
end

-- The id for a new letter. One event may die twice, as two events that came a window apart: a number tells them apart.
local function free_id(p, id, key, died_at)
  local dead, own = p .. 'dead', own_id(id, key)
  if redis.call('HEXISTS', dead, own) == 0 then
    if redis.call('HEXISTS', dead, id) == 0 then return id end
    if key_of(p, id) ~= key then return own end
  end
  local name
  repeat
    name = id .. '~' .. int(died_at) .. '-' .. int(redis.call('INCR', p .. 'token'))
  until redis.call('HEXISTS', dead, name) == 0 -- a messageId can look like this, but cannot foresee the number
  return name
end

-- A letter's group, by which letters are trimmed: the hour of its death, what it is (`order`, else its lane, '' when
-- the splitter refused it), its reason, and one of sixteen slots that its fingerprint falls into. Names and messages
-- are the sender's to choose: whatever is sent, an hour has only so many groups.
local function group_of(head)
  local hour = int(math.floor(head.died_at / HOUR_MS))
  return table.concat({ hour, head.order and 'order' or head.lane, head.reason, string.sub(head.fingerprint or '', -1) }, ' ')
end

local function count_in_group(p, head, by)
  local group = group_of(head)
  if redis.call('HINCRBY', p .. 'dead:groups', group, by) <= 0 then redis.call('HDEL', p .. 'dead:groups', group) end
end

-- What letters are found by, each a sorted set of ids by the time of their deaths.
local function indexes_of(p, head)
  local lane = head.lane == '' and '-' or head.lane
  local found = { p .. 'dead:by:cause:' .. (head.fingerprint or ''), p .. 'dead:by:kind:' .. lane .. ':' .. head.reason }
  if head.user ~= '' then found[3] = p .. 'dead:by:user:' .. head.user end
  return found
end

local function add_to_indexes(p, id, head)
  local cause = head.fingerprint or ''
  for _, key in ipairs(indexes_of(p, head)) do redis.call('ZADD', key, int(head.died_at), id) end
  redis.call('ZINCRBY', p .. 'dead:causes', 1, cause)
  if head.user ~= '' then redis.call('PFADD', p .. 'dead:people:' .. cause, head.user) end
end

local function take_from_indexes(p, id, head)
  local cause = head.fingerprint or ''
  for _, key in ipairs(indexes_of(p, head)) do redis.call('ZREM', key, id) end
  if tonumber(redis.call('ZINCRBY', p .. 'dead:causes', -1, cause)) > 0 then return end
  redis.call('ZREM', p .. 'dead:causes', cause)
  redis.call('DEL', p .. 'dead:people:' .. cause)
end

-- `head` is the letter's header, decoded: the caller's text may be at fault, and must be before it writes.
local function bury(p, id, letter, head)
  local key = head.key or ''
  id = free_id(p, id, key, head.died_at)
  redis.call('ZREM', p .. 'replayed', replay_of(id, key))
  redis.call('HSET', p .. 'dead', id, letter)
  redis.call('ZADD', p .. 'dead:at', int(head.died_at), id)
  tally(p, COUNT_DEAD .. ':' .. head.reason, 1)
  count_in_group(p, head, 1)
  add_to_indexes(p, id, head)
  if head.awaits_email then
    redis.call('ZADD', p .. 'dead:email:' .. head.user, redis.call('INCR', p .. 'token'), id)
  end
end

-- Take a letter out of the store; nil when it is gone.
local function unbury(p, id)
  local letter = redis.call('HGET', p .. 'dead', id)
  if not letter then return nil end
  local head = cjson.decode(header(letter))
  redis.call('HDEL', p .. 'dead', id)
  redis.call('ZREM', p .. 'dead:at', id)
  tally(p, COUNT_DEAD .. ':' .. head.reason, -1)
  count_in_group(p, head, -1)
  take_from_indexes(p, id, head)
  redis.call('ZREM', p .. 'dead:email:' .. head.user, id)
  return letter, head
end

-- What an event went through before travels with it into the entry that takes its letter's place.
local function inherit(entry, head)
  entry.first, entry.past, entry.pending_intent, entry.replay = head.first_seen_ms, head.past, head.pending_intent, true
end

-- The opt-out that the newest entry of a user's lane will send is known, so that the same one is sent once. When an entry
-- of that lane dies, or comes back behind others, it is not known any more; sending it again does no harm.
local function forget_optout(p, user) redis.call('HDEL', p .. 'user:' .. user, 'optout') end

-- A letter that a person has edited may belong into another mailbox by now: it is split again, as an exported one that
-- is enqueued is. Its event holds the replay flag (export.py), by which split.lua takes the letter out of the store.
local function split_edited(p, letter, head, id, is_bulk)
  redis.call('XADD', 'sailpipe:raw', '*', 'event', raw(letter), 'account', head.account,
    'class', is_bulk and 'bulk' or 'live')
  redis.call('ZREM', p .. 'dead:email:' .. head.user, id) -- it is on its way: an email that is learned sends it no more
end

-- Whether a later identify or cart change of the letter's user was delivered: sent now, the letter would undo it.
local function is_overtaken(p, head)
  if (head.follows or '') == '' then return false end
  local newest = redis.call('HGET', p .. 'user:' .. head.user, 'newest:' .. head.follows)
  return tonumber(newest or '0') > head.first_seen_ms
end

-- Back into its mailbox, as if it had just arrived. Returns the letter's header; nil when there is no such letter; nil and true
-- when it is overtaken, and such letters are to stay.
local function revive(p, id, now, is_bulk, stays)
  local stored = redis.call('HGET', p .. 'dead', id)
  local was = stored and cjson.decode(header(stored))
  if stays and was and is_overtaken(p, was) then return nil, true end
  if was and was.edited then
    split_edited(p, stored, was, id, is_bulk)
    return was
  end
  local letter, head = unbury(p, id)
  if not letter then return nil end
  local key = head.key or ''
  redis.call('ZADD', p .. 'replayed', int(now), replay_of(id, key))
  if head.lane == '' then -- the splitter refused it: it is split again
    redis.call('XADD', 'sailpipe:raw', '*', 'event', raw(letter), 'account', head.account, 'replay', id, 'key', key,
      'class', is_bulk and 'bulk' or 'live', 'role', head.role or 'server')
    return head
  end
  local entry = {
    id = id, key = key, seq = int(now) .. '-' .. int(redis.call('INCR', p .. 'token')), clock = lane_clock(p, head.lane, now),
    shared_ids = head.shared_ids, optout = head.optout, role = head.role, packed = head.packed,
  }
  if head.lane == IDENTIFY_LANE then forget_optout(p, head.user) end
  inherit(entry, head)
  post(p, head.lane, head.user, cjson.encode(entry) .. '\n' .. raw(letter), now, is_bulk)
  return head
end

-- What died for want of this user's email goes on, bulk if what showed it is, once a script, and no more than a script
-- should do at once. One letter does in any case: the settlement with which it leaves its mailbox brings others back.
-- Returns how many.
local recalled, left_to_recall = {}, RECALLED_LETTERS
local function recall(p, user, now, is_bulk)
  local key = p .. 'dead:email:' .. user
  if recalled[key] then return 0 end
  recalled[key] = true
  local ids = redis.call('ZRANGE', key, 0, math.max(1, left_to_recall) - 1)
  for _, id in ipairs(ids) do revive(p, id, now, is_bulk) end
  left_to_recall = left_to_recall - #ids
  return #ids
end

-- A job's new state; what has ended keeps nothing but its figures.
local function end_or_go_on(p, id, state, now)
  redis.call('HSET', p .. 'jobs:job:' .. id, 'state', state)
  if state == 'running' then redis.call('HSETNX', p .. 'jobs:job:' .. id, 'began_at', int(now)) end
  if state ~= 'done' and state ~= 'stopped' then return end
  redis.call('HSET', p .. 'jobs:job:' .. id, 'ended_at', int(now))
  redis.call('SREM', p .. 'jobs:active', id)
  redis.call('DEL', p .. 'jobs:ids:' .. id)
end

-- Whether Sailthru refused this address lately. `refused`: the user's field of this name, decoded; an address stands in
-- it as `address_key` in events/emails.py writes it.
local function is_refused(refused, email, now)
  local at = refused[string.lower(email)]
  return at and now - at < ADDRESS_REFUSED_MS
end

-- An email seen for a user. The strongest evidence wins (`Emails.strength`), of equals the newer; an email without a
-- strength was looked up, and is weaker than all. One that came with a page's key is remembered as such (`by_page`). What waited or died for want of one goes on, unless it is an address that was refused.
local function learn_email(p, user, email, strength, at, now, keep, is_bulk, by_page)
  local key = p .. 'user:' .. user
  local have = redis.call('HMGET', key, 'email_strength', 'email_at', 'refused', 'email_by')
  if have[3] and is_refused(cjson.decode(have[3]), email, now) then return end
  local held = tonumber(have[1] or LOOKED_UP)
  if strength < held or strength == held and tonumber(have[2] or '0') <= at then
    redis.call('HSET', key, 'email', email, 'email_strength', int(strength), 'email_at', int(at))
    if by_page then
      redis.call('HSET', key, 'email_by', 'browser')
    elseif have[4] then
      redis.call('HDEL', key, 'email_by')
    end
  end
  redis.call('PEXPIRE', key, int(keep))
  for _, lane in ipairs(EMAIL_LANES) do wake_waiting(p, lane, user, now, { email = true }) end
  recall(p, user, now, is_bulk)
end

-- Whether who shows this token and step owns the mailbox; `have` begins with those in its state. 'again': this very
-- write has already been made.
local function whose(have, token, step)
  if have[1] ~= token then return 'stale' end
  if have[2] == step then return 'yes' end
  if tonumber(have[2]) == tonumber(step) + 1 then return 'again' end
  return 'stale'
end

local function owner(p, lane, box, token, step)
  return whose(redis.call('HMGET', mailbox_state(p, lane, box), 'token', 'step'), token, step)
end

-- The id of an order is reserved for one basket by the mailbox whose head is to post it. That mailbox's state says so,
-- too, and is right: what took it away without a settlement has released the id.
local ORDER_POSTED = '='
local function reserved(basket, id) return basket .. ' ' .. id end
local function basket_and_id(order) return string.match(order, '^(%x+) (.*)$') end

-- The mailbox that is to post the order of this id and basket, or nil.
local function holder_of(p, lane, basket, id)
  local value = redis.call('HGET', p .. 'order:' .. id, basket)
  local box = value and string.match(value, '^@(.*)$')
  local is_held = box and redis.call('HGET', mailbox_state(p, lane, box), 'order') == reserved(basket, id)
  return is_held and box or nil
end

-- What a mailbox had reserved is posted (ORDER_POSTED), may have been (its intent, JSON), or is not to be by it (nil).
local function end_order(p, lane, box, order, value, now)
  local basket, id = basket_and_id(order)
  local key = p .. 'order:' .. id
  local known = redis.call('HGET', key, basket)
  local is_unanswered = known and string.sub(known, 1, 1) == '{'
  if not is_unanswered and known ~= '@' .. box then return end
  local waiter = redis.call('HGET', key, 'waiter')
  if waiter then redis.call('HDEL', key, 'waiter') end
  if value then
    redis.call('HSET', key, basket, value)
  else
    redis.call('HDEL', key, basket)
  end
  if waiter then wake_waiting(p, lane, waiter, now, { order = true }) end
end

-- Dedupe: 64-bit hashes in integer sets, a few time slices for the window. A set that fills up is split in two by
-- the next bit of the hash.
local function branch(slice, depth, hash)
  local route = math.abs(tonumber(string.sub(hash, -15)))
  return slice .. ':' .. depth .. ':' .. int(route % 2 ^ depth)
end

-- How deep a slice's tree is; nil when there is no such slice. Asked once a script.
local depths = {}
local function depth_of(slice)
  if depths[slice] == nil then
    local depth = redis.call('GET', slice)
    depths[slice] = depth and tonumber(depth) or redis.call('EXISTS', slice .. ':0:0') == 1 and 0
  end
  return depths[slice] or nil
end

local function leaf(slice, hash)
  for depth = depth_of(slice) or 0, 1, -1 do
    local key = branch(slice, depth, hash)
    if redis.call('EXISTS', key) == 1 then return key, depth end
  end
  return slice .. ':0:0', 0
end

-- The slices that a window reaches into at this script's `now`, the newest first, `now`'s own among them. Named once a
-- script. One is ahead: the clock may have been set back.
local windows = {}
local function slices_of(p, window, now)
  windows[p] = windows[p] or {}
  if not windows[p][window] then
    local current, names = math.floor(now / (window / DEDUPE_SLICES)), {}
    for back = -1, DEDUPE_SLICES do names[#names + 1] = p .. 'dedupe:' .. int(current - back) end
    windows[p][window] = names
  end
  return windows[p][window]
end

local function known(p, hash, window, now)
  for _, slice in ipairs(slices_of(p, window, now)) do
    if depth_of(slice) and redis.call('SISMEMBER', leaf(slice, hash), hash) == 1 then return true end
  end
  return false
end

-- Whether the splitter drops the entry of this key (`DedupeKey` in the splitter's entries.py): its hash is known, or
-- it is an exported letter that has been replayed already.
local function is_duplicate(key, now)
  local p, id, hash, window, replay = unpack(key)
  if not replay then return window > 0 and known(p, hash, window, now) end
  if find_letter(p, id, hash) then return false end
  return redis.call('ZSCORE', p .. 'replayed', replay_of(id, hash)) ~= false
end

-- Aliases: where an anonymousId or an email leads, many in one hash; a key for each would take three times the memory.
-- The number of hashes grows with the names, by one at a time, which takes over half of another (linear hashing).
local alias_sizes = {}
local function alias_size(p)
  if not alias_sizes[p] then
    local kept, round = redis.call('HMGET', p .. 'aliases', 'buckets', 'names', 'seed'), 1
    local buckets = tonumber(kept[1] or '1')
    while round * 2 <= buckets do round = round * 2 end
    alias_sizes[p] = { buckets = buckets, names = tonumber(kept[2] or '0'), seed = tonumber(kept[3] or '0'), round = round }
  end
  return alias_sizes[p]
end

-- The hash that an alias of this name is in. Who does not know the seed cannot choose names that share one.
local function alias_home(p, name)
  local size, number = alias_size(p), 0
  for i = 1, #name, 3 do
    local a, b, c = string.byte(name, i, i + 2)
    number = (number + (a * BYTE + (b or 0)) * BYTE + (c or 0) + 1) * size.seed % ALIAS_PRIME
  end
  local at = number % (size.round * 2)
  return p .. 'aliases:' .. int(at < size.buckets and at or number % size.round)
end

-- Where a name leads, for each of these kinds; false where that is not known.
local function follow_alias(p, kinds, name)
  local fields = {}
  for i, kind in ipairs(kinds) do fields[i] = kind .. ':' .. name end
  local found = redis.call('HMGET', alias_home(p, name), unpack(fields))
  for i, said in ipairs(found) do found[i] = said and string.match(said, '^%d+ (.*)$') end
  return found
end
