-- Take the events out of mailboxes that were accepted before a time. They are counted as removed.
-- ARGV    lane, the time (ms), '1' to count them alone, most entries to look at, entry of the first mailbox to go on at
--         (0 = begin), box...
-- Returns {mailboxes that are done, entry of the next one to go on at, how many events}
local lane, before, looks_only = ARGV[1], tonumber(ARGV[2]), ARGV[3] == '1'
local most, at, gone = tonumber(ARGV[4]), tonumber(ARGV[5]), 0
free_first(P)

local function is_before(entry)
  return tonumber(string.match(cjson.decode(header(entry)).seq, '^%d+')) < before
end

local function forget_empty(box)
  if redis.call('EXISTS', mail(P, lane, box)) == 1 then return end
  redis.call('DEL', mailbox_state(P, lane, box))
  for _, set in ipairs({ due_set(P, lane), due_set(P, lane, true), P .. 'leased:' .. lane }) do
    redis.call('ZREM', set, box)
  end
end

local done = #ARGV - 5
for i = 6, #ARGV do
  local list, found = mail(P, lane, ARGV[i]), 0
  local entries = redis.call('LRANGE', list, at, at + most - 1)
  for _, entry in ipairs(entries) do
    if is_before(entry) then
      found = found + 1
      if not looks_only then redis.call('LREM', list, 1, entry) end
    end
  end
  gone = gone + found
  if not looks_only then forget_empty(ARGV[i]) end
  if #entries == most then
    done, at = i - 6, at + most - (looks_only and 0 or found)
    break
  end
  most, at = most - #entries, 0
end
if not looks_only and gone > 0 then
  tally(P, COUNT_WAITING .. ':' .. lane, -gone)
  tally(P, COUNT_REMOVED, gone)
end
return { done, done == #ARGV - 5 and 0 or at, gone }
