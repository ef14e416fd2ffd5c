-- Remove the first events of mailboxes that wait. They are counted as removed.
-- ARGV    now, lane, what they wait for ('' for nothing that is written down), then for each: box, seq of its first event as
--         it was when the decision was made, how many events go
-- Returns for each how many went: 0 where it is leased, or its first event is another by now, or waits for something else
local now, lane, waits, reply = ms(ARGV[1]), ARGV[2], ARGV[3], {}
free_first(P)

local function remove(box, seq, most)
  local state_key, list = mailbox_state(P, lane, box), mail(P, lane, box)
  local have = redis.call('HMGET', state_key, 'token', 'waits', 'order', 'intent', 'lifted')
  local is_out = have[1] or redis.call('ZSCORE', P .. 'leased:' .. lane, box)
  if is_out or (have[2] or '') ~= waits then return 0 end
  local gone = {}
  for i, entry in ipairs(redis.call('LRANGE', list, 0, most - 1)) do gone[i] = 's:' .. cjson.decode(header(entry)).seq end
  if gone[1] ~= 's:' .. seq then return 0 end
  local popped = #gone
  redis.call('LTRIM', list, popped, -1)
  tally(P, COUNT_WAITING .. ':' .. lane, -popped)
  tally(P, COUNT_REMOVED, popped)
  -- It may have been posted, if its call was never answered: the next one of its id is looked up first.
  if have[3] then end_order(P, lane, box, have[3], have[4], now) end
  if redis.call('EXISTS', list) == 0 then
    redis.call('DEL', state_key)
    for _, is_bulk in ipairs({ false, true }) do redis.call('ZREM', due_set(P, lane, is_bulk), box) end
  else
    redis.call('HDEL', state_key, 'waits', 'absence', 'order', 'intent', 'failing', 'strikes', 'singles', unpack(gone))
    local left = have[5] and math.max(0, tonumber(have[5]) - popped)
    if left then redis.call('HSET', state_key, 'lifted', int(left)) end
    local due = left == 0 and redis.call('ZSCORE', due_set(P, lane), box)
    if due then -- what is left is bulk
      redis.call('ZREM', due_set(P, lane), box)
      redis.call('ZADD', due_set(P, lane, true), due, box)
    end
    look_now(P, lane, box, now)
  end
  if lane == IDENTIFY_LANE then
    forget_optout(P, box)
    for _, other in ipairs(LANES) do wake_waiting(P, other, box, now, { user = true, identify = true }) end
  end
  return popped
end

for i = 4, #ARGV, 3 do reply[#reply + 1] = remove(ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2])) end
return reply
