-- Forget an account's counters but those of what is still there.
local flat = redis.call('HGETALL', P .. 'counts')
for i = 1, #flat, 2 do
  local is_there = string.find(flat[i], '^' .. COUNT_WAITING .. ':') or string.find(flat[i], '^' .. COUNT_DEAD .. ':')
  if not is_there or flat[i + 1] == '0' then redis.call('HDEL', P .. 'counts', flat[i]) end
end
