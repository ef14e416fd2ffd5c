-- Write blocks of the log of outcomes, and remove those that are too old, then those that are too many.
-- KEYS[1] the account's prefix
-- ARGV    now, the newest time of a block that goes (ms; '-' for none), most bytes of all parts, '1' if outcomes were lost
--         since the last call, which tombstones there were when the records were made ('-': it makes no difference),
--         number of parts, then for each part, those that lose first before: its name, the bytes that
--         it keeps in any case; then for each block: part, records, index, data
-- A Redis that is full refuses the first write, and nothing is written: the log is not worth an event.
-- Returns how many blocks went; as many as TRACE_TRIMMED when there may be more. -1: a person was erased meanwhile, and
-- nothing was written
local now, oldest, most, parts = int(ms(ARGV[1])), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[6])
local book, begin, first = P .. 'trace', 7, 7 + 2 * parts
if ARGV[5] ~= '-' and (redis.call('HGET', P .. 'forgotten', 'gen') or '') ~= ARGV[5] then return -1 end
local bytes, total, gone = {}, 0, 0

local function drop_block(part, newest)
  local key = P .. 'trace:' .. part
  local block = gone < TRACE_TRIMMED and redis.call('XRANGE', key, '-', newest, 'COUNT', 1)[1]
  if not block then return 0 end
  local fields = block[2]
  local size = #fields[4] + #fields[6] + TRACE_BLOCK_BYTES
  redis.call('XDEL', key, block[1])
  redis.call('HINCRBY', book, 'bytes:' .. part, -size)
  redis.call('HINCRBY', book, 'records:' .. part, -fields[2])
  redis.call('HSET', book, 'cut:' .. part, string.match(block[1], '^%d+'))
  gone = gone + 1
  return size
end

if #ARGV >= first then redis.call('HSETNX', book, 'began', now) end
if ARGV[4] == '1' then redis.call('HSET', book, 'lost', now) end
for i = first, #ARGV, 4 do
  local part, records, index, data = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  redis.call('XADD', P .. 'trace:' .. part, '*', 'n', records, 'i', index, 'd', data)
  redis.call('HINCRBY', book, 'bytes:' .. part, #index + #data + TRACE_BLOCK_BYTES)
  redis.call('HINCRBY', book, 'records:' .. part, records)
end

for i = begin, first - 1, 2 do
  while oldest ~= '-' and drop_block(ARGV[i], oldest) > 0 do end
end
for i = begin, first - 1, 2 do
  bytes[i] = tonumber(redis.call('HGET', book, 'bytes:' .. ARGV[i]) or '0')
  total = total + bytes[i]
end
for i = begin, first - 1, 2 do
  while total > most and bytes[i] > tonumber(ARGV[i + 1]) do
    local freed = drop_block(ARGV[i], '+')
    if freed == 0 then break end
    bytes[i], total = bytes[i] - freed, total - freed
  end
end
return gone
