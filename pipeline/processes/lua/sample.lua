-- Write down some counters of some accounts, from which `status` and the console measure rates.
-- KEYS    of each account: its history (stream), its counters, the slots of each lane's bucket
-- ARGV    1 samples that are kept of each account  2... the lanes

-- Of the events that were folded, those of this day (UTC): what the sample before has, and what came since.
local function folded_today(history, folded)
  local last = redis.call('XREVRANGE', history, '+', '-', 'COUNT', 1)[1]
  if not last then return 0 end
  local before = {}
  for i = 1, #last[2], 2 do before[last[2][i]] = tonumber(last[2][i + 1]) end
  local since = math.max(0, folded - (before.folded or folded))
  local day = math.floor(redis.call('TIME')[1] * 1000 / DAY_MS)
  local is_same = math.floor(string.match(last[1], '^%d+') / DAY_MS) == day
  return since + (is_same and before.folded_today or 0)
end

local each = 2 + #ARGV - 1
for first = 1, #KEYS, each do
  free_first(KEYS[first])
  local counts = KEYS[first + 1]
  local row = { 'delivered', redis.call('HGET', counts, COUNT_DELIVERED) or '0' }
  local folded = tonumber(redis.call('HGET', counts, COUNT_FOLDED) or '0')
  row[#row + 1], row[#row + 2] = 'folded', folded
  row[#row + 1], row[#row + 2] = 'folded_today', folded_today(KEYS[first], folded)
  for i = 2, #ARGV do
    row[#row + 1] = 'waiting:' .. ARGV[i]
    row[#row + 1] = redis.call('HGET', counts, COUNT_WAITING .. ':' .. ARGV[i]) or '0'
    row[#row + 1] = 'calls:' .. ARGV[i]
    row[#row + 1] = redis.call('HGET', KEYS[first + i], 'total') or '0'
  end
  redis.call('XADD', KEYS[first], 'MAXLEN', '~', ARGV[1], '*', unpack(row))
end
return 1
