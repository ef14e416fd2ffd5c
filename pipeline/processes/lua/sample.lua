-- Write down some counters of some accounts, from which `status` and the console measure rates.
-- KEYS    of each account: its history (stream), its counters, the slots of each lane's bucket
-- ARGV    1 samples that are kept of each account  2... the lanes
local each = 2 + #ARGV - 1
for first = 1, #KEYS, each do
  free_first(KEYS[first])
  local counts = KEYS[first + 1]
  local row = { 'delivered', redis.call('HGET', counts, COUNT_DELIVERED) or '0' }
  for i = 2, #ARGV do
    row[#row + 1] = 'waiting:' .. ARGV[i]
    row[#row + 1] = redis.call('HGET', counts, COUNT_WAITING .. ':' .. ARGV[i]) or '0'
    row[#row + 1] = 'calls:' .. ARGV[i]
    row[#row + 1] = redis.call('HGET', KEYS[first + i], 'total') or '0'
  end
  redis.call('XADD', KEYS[first], 'MAXLEN', '~', ARGV[1], '*', unpack(row))
end
return 1
