-- Become the one owner of a leased mailbox.
-- ARGV    now, lane, box, lease ms, most events, what this process delivers to, scopes of the lane's gates...
-- Returns {'no'} when there is nothing to own (a lost, doubled or late wake-up, or one of another target), else
--         {token, now, lane clock, user-lane clock, header of the user lane's head or '',
--          cart or '', state of the mailbox (flat), user (flat), entry...}
local now, lane, box, lease, most = ms(ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local scopes = {}
for i = 7, #ARGV do scopes[#scopes + 1] = ARGV[i] end
local state_key, leased = mailbox_state(P, lane, box), P .. 'leased:' .. lane

if not redis.call('ZSCORE', leased, box) or redis.call('HEXISTS', state_key, 'token') == 1 then
  return { 'no' }
end
if redis.call('LLEN', mail(P, lane, box)) == 0 then
  redis.call('ZREM', leased, box)
  redis.call('DEL', state_key)
  return { 'no' }
end
-- The processes of all targets consume the same Celery queues.
if redis.call('GET', P .. 'target') ~= ARGV[6] then
  redis.call('ZREM', leased, box)
  redis.call('ZADD', P .. 'due:' .. lane, int(now + FOREIGN_PAUSE_MS), box)
  return { 'no' }
end
local state = gate(P, scopes, now)
if state == 'closed' or (state == 'probe' and redis.call('HGET', state_key, 'probe') ~= '1') then
  redis.call('ZREM', leased, box)
  redis.call('ZADD', P .. 'due:' .. lane, was_due(state_key, now), box)
  return { 'no' }
end

redis.call('HDEL', state_key, 'waits') -- frees first: see lib.lua
-- After SINGLY_AFTER unsettled claims events are leased one at a time, until all that were leased then are through.
local trouble = redis.call('HMGET', state_key, 'strikes', 'singles')
if tonumber(trouble[1] or '0') >= SINGLY_AFTER and tonumber(trouble[2] or '0') > 0 then most = 1 end
local entries = redis.call('LRANGE', mail(P, lane, box), 0, most - 1)
-- The time is part of it, or a Redis that forgot its last second would give the same token twice.
local token = int(redis.call('INCR', P .. 'token')) .. '-' .. int(now)
redis.call('HSET', state_key, 'token', token, 'step', 0)
if tonumber(trouble[2] or '0') == 0 then redis.call('HSET', state_key, 'claimed', #entries) end
redis.call('ZADD', leased, 'XX', int(now + lease), box)

local head = lane ~= IDENTIFY_LANE and redis.call('LINDEX', mail(P, IDENTIFY_LANE, box), 0)
local reply = {
  token, int(now), int(lane_clock(P, lane, now)), int(lane_clock(P, IDENTIFY_LANE, now)),
  head and header(head) or '', redis.call('GET', P .. 'cart:' .. box) or '',
  redis.call('HGETALL', state_key), redis.call('HGETALL', P .. 'user:' .. box),
}
for _, entry in ipairs(entries) do reply[#reply + 1] = entry end
return reply
