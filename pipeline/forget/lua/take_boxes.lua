-- Remove mailboxes of a lane with all they hold; it is counted as removed. A worker that owns one finds its claim stale, and what
-- one had reserved another may post.
-- ARGV    now, lane, box...
-- Returns {how many events were in them, when the last of their leases ends (ms; 0 = none was leased), mailboxes}
local now, lane, gone, leased, boxes = ms(ARGV[1]), ARGV[2], 0, 0, 0
free_first(P)
for i = 3, #ARGV do
  local box = ARGV[i]
  local state_key, list = mailbox_state(P, lane, box), mail(P, lane, box)
  local events, order = redis.call('LLEN', list), redis.call('HGET', state_key, 'order')
  leased = math.max(leased, tonumber(redis.call('ZSCORE', P .. 'leased:' .. lane, box) or '0'))
  local there = redis.call('UNLINK', list, state_key)
  for _, set in ipairs({ due_set(P, lane), due_set(P, lane, true), P .. 'leased:' .. lane }) do
    there = there + redis.call('ZREM', set, box)
  end
  if order then end_order(P, lane, box, order, nil, now) end
  local suspect = redis.call('HMGET', P .. 'suspect', 'lane', 'box')
  if suspect[1] == lane and suspect[2] == box then redis.call('DEL', P .. 'suspect') end
  gone = gone + events
  if there > 0 then boxes = boxes + 1 end
end
if gone > 0 then
  tally(P, COUNT_WAITING .. ':' .. lane, -gone)
  tally(P, COUNT_REMOVED, gone)
end
return { gone, int(leased), boxes }
