-- Reserve rate-limit slots. slots.take in Python says the same, and a test holds them together.
--
-- KEYS[1] hash   the bucket (or a purpose's part of it): free_at closed total minute at_minute before seen
-- KEYS[2] hash   the whole bucket (KEYS[1] when it is not a part): adopted
-- KEYS[3] hash   operator's limits: bucket -> calls/s
-- KEYS[4] string microseconds at which this Redis began to hand out slots
-- ARGV    1 bucket  2 setting or ""  3 default  4 share  5 count  6 cap or ""  7 not_before
--         8 fast from (calls/s)  9 slack of fast limits (s)  10 slack of slow ones  11 max ahead
--         12 restart pause  13 "1" when this Redis did not know the script  14 now or "" for TIME
--         Times are microseconds, rates are calls/s.
-- Returns count, now, first, interval, total, closed, limit (string), source
free_first(KEYS[1])
local MINUTE, STEP = MINUTE_MS * 1000, CLOCK_STEP_MS * 1000 -- in microseconds
local now = tonumber(ARGV[14])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end

local began = tonumber(redis.call('GET', KEYS[4]))
if not began or ARGV[13] == '1' or began > now then
  began = now
  redis.call('SET', KEYS[4], string.format('%.0f', now))
end

local default = tonumber(ARGV[3])
local limit, source = default, 'default'
local operator = tonumber(redis.call('HGET', KEYS[3], ARGV[1]))
local setting = tonumber(ARGV[2])
local adopted = tonumber(redis.call('HGET', KEYS[2], 'adopted'))
if operator then
  limit, source = operator, 'operator'
elseif setting then
  limit, source = setting, 'setting'
elseif adopted and adopted > default then
  limit, source = adopted, 'header'
end

local slack = limit >= tonumber(ARGV[8]) and tonumber(ARGV[9]) or tonumber(ARGV[10])
local interval = math.ceil((1.0 + slack) * 1000000 / (limit * tonumber(ARGV[4])))
local cap = tonumber(ARGV[6])
if cap then
  interval = math.max(interval, math.ceil(1000000 / cap))
end

local kept = redis.call('HMGET', KEYS[1], 'free_at', 'closed', 'total', 'minute', 'at_minute', 'before', 'seen')
for i = 1, 7 do
  kept[i] = tonumber(kept[i] or 0)
end
local free_at, closed, total, minute, at_minute, before, seen = unpack(kept)

local back = seen - now -- more than a little: the clock was set back
if back > STEP then
  free_at, closed = free_at - back, closed - back
end

closed = math.min(math.max(closed, tonumber(ARGV[7])), now + MINUTE)
local first = math.max(now, free_at, closed, began + tonumber(ARGV[12]) + interval)
local count = tonumber(ARGV[5])
if first - now > tonumber(ARGV[11]) then
  count = 0
end

local this_minute = math.floor(now / MINUTE)
if this_minute ~= minute then
  before = this_minute == minute + 1 and total - at_minute or 0
  at_minute = total
end
total = total + count
if count > 0 then
  free_at = first + count * interval
end

local function digits(number)
  return string.format('%.0f', number)
end
redis.call('HSET', KEYS[1], 'free_at', digits(free_at), 'closed', digits(closed), 'total', digits(total),
  'minute', digits(this_minute), 'at_minute', digits(at_minute), 'before', digits(before), 'seen', digits(now))
return {count, now, first, interval, total, closed, string.format('%.17g', limit), source}
