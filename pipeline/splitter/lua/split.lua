-- Move a batch of raw entries to where they belong. Nothing is read between decision and deletion, so an
-- entry is never in two places.
-- KEYS[1] the raw stream, KEYS[2] the splitter's lease, KEYS[3] entries that are held
-- ARGV    now, the splitter's token, its lease in ms, which tombstones each account had when the batch was routed (prefix ->
--         generation, JSON), then for each entry: sid, action (JSON), blob
--   action: see `SplitAction` in entries.py
--   blob: the mailbox entry or the dead letter ('' when ignored, unless an opt-out is made of it)
-- Returns 'lost' when the lease is another's, 'forgot' when a person has been erased meanwhile, else {{sid of each
--   duplicate}, {sid of each that a reset has removed, that is held until its account is known, or that is gone}}
local now, lease = ms(ARGV[1]), redis.call('GET', KEYS[2])
if lease ~= ARGV[2] then return 'lost' end
for p, generation in pairs(cjson.decode(ARGV[4])) do
  if (redis.call('HGET', p .. 'forgotten', 'gen') or '') ~= generation then return 'forgot' end
end

local function split(slice, key, depth, life)
  local halves = {}
  for _, hash in ipairs(redis.call('SMEMBERS', key)) do
    local half = branch(slice, depth + 1, hash)
    halves[half] = halves[half] or {}
    table.insert(halves[half], hash)
  end
  redis.call('DEL', key)
  for half, members in pairs(halves) do
    redis.call('SADD', half, unpack(members))
    redis.call('PEXPIRE', half, life)
  end
  if depth + 1 > depth_of(slice) then
    redis.call('SET', slice, depth + 1, 'PX', life)
    depths[slice] = depth + 1
  end
end

local function dedupe_life(window) return int(window * (1 + 2 / DEDUPE_SLICES)) end

local function remember(p, hash, window)
  local slice = slices_of(p, window, now)[2]
  local key, depth = leaf(slice, hash)
  redis.call('SADD', key, hash)
  depths[slice] = depth_of(slice) or 0
  local size = redis.call('SCARD', key)
  if size == 1 then redis.call('PEXPIRE', key, dedupe_life(window)) end
  if size >= DEDUPE_SET_FULL and depth < DEDUPE_MAX_DEPTH then split(slice, key, depth, dedupe_life(window)) end
end

-- Takes over what belongs in the new one of the hashes of aliases from the one that has held it.
local function add_bucket(p, size)
  local from, to = p .. 'aliases:' .. int(size.buckets - size.round), p .. 'aliases:' .. int(size.buckets)
  local flat, halves = redis.call('HGETALL', from), { [from] = {}, [to] = {} }
  size.buckets = size.buckets + 1
  if size.buckets == size.round * 2 then size.round = size.buckets end
  redis.call('HSET', p .. 'aliases', 'buckets', int(size.buckets))
  for i = 1, #flat, 2 do
    local half = halves[alias_home(p, string.match(flat[i], '^%a+:(.*)$'))]
    half[#half + 1] = flat[i]
    half[#half + 1] = flat[i + 1]
  end
  redis.call('DEL', from) -- one that was large stays so
  for key, fields in pairs(halves) do
    if #fields > 0 then redis.call('HSET', key, unpack(fields)) end
  end
end

local function learn_alias(p, alias, id, now)
  local size, name = alias_size(p), string.match(alias, '^%a+:(.*)$')
  if size.seed == 0 then
    local t = redis.call('TIME')
    size.seed = math.floor(ALIAS_PRIME / 4) + (t[1] + t[2]) % math.floor(ALIAS_PRIME / 2)
    redis.call('HSET', p .. 'aliases', 'seed', int(size.seed))
  end
  local said = int(math.floor(now / HOUR_MS)) .. ' ' .. id
  if redis.call('HSET', alias_home(p, name), alias, said) == 0 then return end
  size.names = size.names + 1
  redis.call('HINCRBY', p .. 'aliases', 'names', 1)
  if size.names > size.buckets * ALIASES_A_BUCKET then add_bucket(p, size) end
end

-- Whether an event of this mailbox waits, or has died, for want of an email.
local function wants_email(p, box)
  local waiting = { p .. 'dead:email:' .. box }
  for _, lane in ipairs(EMAIL_LANES) do waiting[#waiting + 1] = mail(p, lane, box) end
  return redis.call('EXISTS', unpack(waiting)) > 0
end

-- A visitor's order may want an email that the user it is now known to be has shown.
local function hand_down(p, visitor, user, now, keep, is_bulk)
  if not wants_email(p, visitor) then return end
  local fields = { 'email', 'email_strength', 'email_at', 'email_by' }
  local email, strength, at, by = unpack(redis.call('HMGET', p .. 'user:' .. user, unpack(fields)))
  if not email then return end
  learn_email(p, visitor, email, tonumber(strength or LOOKED_UP), tonumber(at or '0'), now, keep, is_bulk, by)
end

-- What a reset has removed, or is about to, while the splitter had it in hand: it goes nowhere.
local cuts = {}
local function is_cut(p, sid)
  if cuts[p] == nil then cuts[p] = redis.call('GET', p .. 'reset') end
  if not cuts[p] then return false end
  local function parts(id) return tonumber(string.match(id, '^%d+')), tonumber(string.match(id, '%d+$')) end
  local ms_of, n = parts(sid)
  local last_ms, last_n = parts(cuts[p])
  return ms_of < last_ms or ms_of == last_ms and n <= last_n
end

-- Whether an entry that nothing was read of has been removed, and counted, with its person.
local function is_gone(p, sid)
  return redis.call('EXISTS', p .. 'forgotten') == 1 and #redis.call('XRANGE', KEYS[1], sid, sid) == 0
end

-- The opt-out that an event says its user is to have: a second entry in the user's lane, unless the newest entry there
-- with one says the same, or the event's own call says it.
local function see_to_optout(p, optout, entry, now, keep, is_bulk)
  local box, level, head = unpack(optout)
  local memory = p .. 'user:' .. box
  if head ~= '' then
    if level ~= '' and redis.call('HGET', memory, 'optout') == level then return end
    tally(p, COUNT_DERIVED, 1)
    post(p, IDENTIFY_LANE, box, head .. '\n' .. raw(entry), now, is_bulk)
  end
  if level == '' then return forget_optout(p, box) end
  redis.call('HSET', memory, 'optout', level)
  redis.call('PEXPIRE', memory, int(keep))
end

-- What came in, by account and then by way and type: counted once for the batch.
local arrivals = {}
local function arrived(p, came)
  if came == '' then return end
  local of_account = arrivals[p] or {}
  arrivals[p], of_account[came] = of_account, (of_account[came] or 0) + 1
end

-- Whether it was a duplicate, of which nothing is kept.
local function apply(action, blob, head)
  local key, kind, lane, box, reason, emails, aliases, optout, shared_by, is_bulk, hands_down, keep, came = unpack(action)
  local p, id, hash, window, replay = unpack(key)
  arrived(p, came)
  if is_duplicate(key, now) then
    tally(p, COUNT_DUPLICATES, 1)
    return true
  end
  if replay then
    local found = find_letter(p, id, hash)
    local letter, before
    if found then
      letter, before = unbury(p, found)
      tally(p, COUNT_REMOVED, 1)
      redis.call('ZADD', p .. 'replayed', int(now), replay_of(found, hash))
    end
    redis.call('ZADD', p .. 'replayed', int(now), replay_of(id, hash))
    -- An intent speaks of what that lane was about to do.
    if letter and kind == 'post' and lane == before.lane then
      inherit(head, before)
      blob = cjson.encode(head) .. '\n' .. raw(blob)
    end
  end
  for _, alias in ipairs(aliases) do learn_alias(p, alias[1], alias[2], now) end
  for _, shown in ipairs(emails) do
    local user, email, strength, at, seen, has_owner = unpack(shown)
    if seen ~= '' then redis.call('SET', p .. 'seen:' .. user, seen, 'PX', DAY_MS) end
    if email ~= '' and (not has_owner or wants_email(p, user)) then
      learn_email(p, user, email, strength, at, now, keep, is_bulk, not hands_down)
    end
  end
  for _, alias in ipairs(aliases) do
    local visitor = hands_down and string.match(alias[1], '^anon:(.*)$')
    if visitor then hand_down(p, visitor, alias[2], now, keep, is_bulk) end
  end
  if kind == 'post' then
    post(p, lane, box, blob, now, is_bulk)
  elseif kind == 'dead' or kind == 'held' then
    bury(p, id, blob, head)
  else
    tally(p, COUNT_IGNORED .. ':' .. reason, 1)
  end
  for _, cause in ipairs(shared_by) do tally(p, COUNT_SHARED_IDS .. ':' .. cause, 1) end
  if optout[1] then see_to_optout(p, optout, blob, now, keep, is_bulk) end
  if window > 0 then remember(p, hash, window) end
  return false
end

-- Set an entry of an account that the splitter does not know aside, with all that says something. False when too many are.
local LABELS = { event = true, account = true, class = true, role = true, via = true, replay = true, key = true }
local function hold(sid)
  local entry = redis.call('XRANGE', KEYS[1], sid, sid)[1]
  if not entry or redis.call('XLEN', KEYS[3]) >= HELD_MOST then return false end
  local kept, since = {}, int(now)
  for i = 1, #entry[2], 2 do
    local name, value = entry[2][i], entry[2][i + 1]
    if name == 'held' then
      since = value
    elseif LABELS[name] then
      kept[#kept + 1] = name
      kept[#kept + 1] = value
    end
  end
  redis.call('XADD', KEYS[3], '*', 'held', since, unpack(kept))
  return true
end

-- All that could fail comes before the first write: a script is not rolled back.
local batch = {}
for i = 5, #ARGV, 3 do
  local action, blob = cjson.decode(ARGV[i + 1]), ARGV[i + 2]
  local key, kind = action[1], action[2]
  local reads = kind == 'dead' or kind == 'held' or kind == 'post' and key[5]
  batch[#batch + 1] = { ARGV[i], action, blob, reads and cjson.decode(header(blob)) }
end
free_first(KEYS[2])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
local duplicates, gone = {}, {}
for _, entry in ipairs(batch) do
  local p, kind = entry[2][1][1], entry[2][2]
  if is_cut(p, entry[1]) or kind == 'held' and hold(entry[1]) then
    gone[#gone + 1] = entry[1]
  elseif kind == 'removed' then
    tally(p, COUNT_REMOVED, 1)
    arrived(p, entry[2][#entry[2]]) -- `came` is the last field
  elseif kind == 'dead' and is_gone(p, entry[1]) then
    gone[#gone + 1] = entry[1]
  elseif apply(entry[2], entry[3], entry[4]) then
    duplicates[#duplicates + 1] = entry[1]
  end
  redis.call('XDEL', KEYS[1], entry[1])
end
for p, of_account in pairs(arrivals) do
  for came, number in pairs(of_account) do tally(p, COUNT_CAME_IN .. ':' .. came, number) end
end
return { duplicates, gone }
