-- How full Redis is, and what waits in the lanes of some accounts. Reads only.
-- ARGV    now, number of lanes, lanes..., the prefix of each account's keys...
-- Returns {bytes in use, bytes there are (maxmemory, else the machine's; 0 where Redis does not say), then for each
--   account and lane: events that wait, how many of these can go now, '1' if its gates were open at the last wake-up}
local now, lanes, first = int(ms(ARGV[1])), {}, 3 + tonumber(ARGV[2])
for i = 3, first - 1 do lanes[#lanes + 1] = ARGV[i] end

local info = redis.pcall('INFO', 'memory')
local function bytes(name)
  return type(info) == 'string' and tonumber(string.match(info, '[\r\n]' .. name .. ':(%d+)')) or 0
end
local most = bytes('maxmemory')
if most == 0 then most = bytes('total_system_memory') end
local reply = { int(bytes('used_memory')), int(most) }

-- Of the events in a lane as many can go as its mailboxes that are due or leased hold on average: to count them exactly
-- would be to read every mailbox.
local function that_can_go(p, lane, waiting)
  local ready = redis.call('ZCARD', p .. 'leased:' .. lane)
  local all = ready
  for _, due in ipairs({ p .. 'due:' .. lane, p .. 'bulk:' .. lane }) do
    all, ready = all + redis.call('ZCARD', due), ready + redis.call('ZCOUNT', due, '-inf', now)
  end
  return all > 0 and math.ceil(waiting * ready / all) or 0
end

for i = first, #ARGV do
  local p, fields = ARGV[i], {}
  for n, lane in ipairs(lanes) do fields[n] = COUNT_WAITING .. ':' .. lane end
  local waiting = redis.call('HMGET', p .. 'counts', unpack(fields))
  for n, lane in ipairs(lanes) do
    local events = math.max(0, tonumber(waiting[n] or '0'))
    local ready = events > 0 and that_can_go(p, lane, events) or 0
    local is_open = redis.call('HGET', p .. 'lane:' .. lane, 'closed') == '0'
    reply[#reply + 1] = { int(events), int(ready), is_open and '1' or '0' }
  end
end
return reply
