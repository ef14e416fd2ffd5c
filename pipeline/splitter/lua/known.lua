-- What is known of a batch, asked once before it is routed. Reads only, and no more than a few commands an event.
-- ARGV    now, then for each account a question (JSON): see `Question` in lookups.py
-- Returns for each account JSON: anon, email, follows, visitor: name -> the id it leads to; seen: id -> sightings
--   (JSON); showed: visitor -> its email, when it has no sightings; stopped: lane -> ms; duplicates: '1' for each doubtful entry that is a duplicate, else '0';
--   gen: of the tombstones (tombstones.py)
-- split.lua is the judge of duplicates. It judges the same unless a window has run out meanwhile, because only the
-- splitter with the lease writes what is read here.
local now = ms(ARGV[1])
local answers = {}

local function learned(p, kinds, names, found)
  for _, name in ipairs(names) do
    local targets = follow_alias(p, kinds, name)
    for i, kind in ipairs(kinds) do
      if targets[i] then found[kind][name] = targets[i] end
    end
  end
end

local function sightings(p, ids, found)
  if #ids == 0 then return end
  local keys = {}
  for i, id in ipairs(ids) do keys[i] = p .. 'seen:' .. id end
  local seen = redis.call('MGET', unpack(keys)) -- a batch has at most some hundred ids
  for i, id in ipairs(ids) do
    if seen[i] then found.seen[id] = seen[i] end
  end
end

for i = 2, #ARGV do
  local p, ids, visitors, emails, doubtful, lanes = unpack(cjson.decode(ARGV[i]))
  local found = { anon = {}, email = {}, follows = {}, visitor = {}, seen = {}, showed = {}, stopped = {} }
  learned(p, { 'anon', 'follows' }, visitors, found)
  learned(p, { 'email', 'visitor' }, emails, found)
  -- Which of the ids they lead to are shared ids, and where the visitors lead, must be known as well.
  local was_asked, unread = {}, {}
  for _, id in ipairs(visitors) do was_asked[id] = true end
  for _, visitor in pairs(found.visitor) do
    if not was_asked[visitor] then
      was_asked[visitor] = true
      unread[#unread + 1] = visitor
    end
  end
  sightings(p, ids, found)
  for _, kind in ipairs({ 'anon', 'email', 'follows', 'visitor' }) do
    local owners = {}
    for _, id in pairs(found[kind]) do owners[#owners + 1] = id end
    sightings(p, owners, found)
  end
  learned(p, { 'anon', 'follows' }, unread, found)
  for _, visitor in pairs(found.visitor) do
    local email = not found.seen[visitor] and redis.call('HGET', p .. 'user:' .. visitor, 'email')
    if email then found.showed[visitor] = email end
  end
  for _, lane in ipairs(lanes) do
    found.stopped[lane] = int(now - lane_clock(p, lane, now))
  end
  local duplicates = {}
  for n, key in ipairs(doubtful) do duplicates[n] = is_duplicate(key, now) and '1' or '0' end
  found.duplicates = table.concat(duplicates)
  found.gen = redis.call('HGET', p .. 'forgotten', 'gen') or ''
  answers[#answers + 1] = cjson.encode(found)
end
return answers
