-- Take mailboxes from their owners, and make them forget what speaks of the target they were for: intents, what
-- was tried, what is waited for. Their events stay; what has killed processes is remembered.
-- ARGV    now, lane, most entries to look at, entry of the first mailbox to go on at (0 = begin), box...
-- Returns {mailboxes that are done, entry of the next one to go on at}
local now, lane, most, at = ms(ARGV[1]), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local KEPT = { 'strikes', 'singles', 'claimed', 'lifted' }

local function begin(box)
  local state, bulk = mailbox_state(P, lane, box), redis.call('ZSCORE', due_set(P, lane, true), box)
  local due = bulk or redis.call('ZSCORE', due_set(P, lane), box) or redis.call('HGET', state, 'due')
  local kept = redis.call('HMGET', state, unpack(KEPT))
  redis.call('DEL', state) -- frees first: see lib.lua
  for i, field in ipairs(KEPT) do
    if kept[i] then redis.call('HSET', state, field, kept[i]) end
  end
  redis.call('ZREM', P .. 'leased:' .. lane, box)
  local set = due_set(P, lane, bulk or kept[#KEPT] == '0')
  if redis.call('LLEN', mail(P, lane, box)) > 0 then redis.call('ZADD', set, due_before(due, now), box) end
end

for i = 5, #ARGV do
  local box = ARGV[i]
  if at == 0 then begin(box) end
  local entries = redis.call('LRANGE', mail(P, lane, box), at, at + most - 1)
  for j, entry in ipairs(entries) do
    local head = cjson.decode(header(entry))
    if head.pending_intent then
      head.pending_intent = nil
      redis.call('LSET', mail(P, lane, box), at + j - 1, cjson.encode(head) .. '\n' .. raw(entry))
    end
  end
  if #entries == most then return { i - 5, at + most } end
  most, at = most - #entries, 0
end
return { #ARGV - 4, 0 }
