-- One page of dead letters, newest first; of those that died in the same millisecond, the largest id first.
-- ARGV    when the letter died behind which it begins (ms) and its id ('', '': it begins with the newest),
--         died at or before (ms), died at or after (ms), most letters,
--         '1' returns raw events as well (up to 32 KB each), then the indexes whose letters it lists, each once
-- Returns {id, died at, header JSON or whole letter, ...}; the first whatever its size, those behind it while the
--         reply is not longer than PAGE_BYTES. A header is '' when there is no such letter
local after_ms, after_id, newest, oldest = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local most, is_whole = tonumber(ARGV[5]), ARGV[6] == '1'

-- As Redis sorts them: Lua's own comparison goes by the locale.
local function is_less(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x < y end
  end
  return #a < #b
end

-- The place in an index, from the newest, at which the page begins. The letter behind which that is may be gone.
local function place(key)
  local first = newest == '+inf' and 0 or redis.call('ZCOUNT', key, '(' .. newest, '+inf')
  if after_ms == '' then return first end
  local low = redis.call('ZCOUNT', key, '(' .. after_ms, '+inf')
  local high = low + redis.call('ZCOUNT', key, after_ms, after_ms)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if is_less(redis.call('ZREVRANGE', key, middle, middle)[1], after_id) then
      high = middle
    else
      low = middle + 1
    end
  end
  return math.max(first, low)
end

local lists = {}
for i = 7, #ARGV do
  local from = place(ARGV[i])
  local found = redis.call('ZREVRANGE', ARGV[i], from, from + most - 1, 'WITHSCORES')
  if #found > 0 then lists[#lists + 1] = { found = found, at = 1, died = tonumber(found[2]) } end
end

-- The newest letter of all lists, and its list moved on.
local function take()
  local best
  for _, list in ipairs(lists) do
    if list.died and (not best or list.died > best.died
        or list.died == best.died and is_less(best.found[best.at], list.found[list.at])) then
      best = list
    end
  end
  if not best or oldest ~= '-inf' and best.died < tonumber(oldest) then return nil end
  local id, died = best.found[best.at], best.found[best.at + 1]
  best.at = best.at + 2
  best.died = tonumber(best.found[best.at + 1])
  return id, died
end

local reply, bytes = {}, 0
for _ = 1, most do
  if bytes > PAGE_BYTES then break end
  local id, died = take()
  if not id then break end
  local letter = redis.call('HGET', P .. 'dead', id) or '\n'
  reply[#reply + 1] = id
  reply[#reply + 1] = died
  reply[#reply + 1] = is_whole and letter or header(letter)
  bytes = bytes + #reply[#reply]
end
return reply
