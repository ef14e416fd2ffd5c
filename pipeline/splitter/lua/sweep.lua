-- Forget aliases that nothing has said for long. A part of them a call; the next call goes on behind it.
-- ARGV    now, for how many ms an alias is known
-- Returns how many were forgotten
local oldest = math.floor((ms(ARGV[1]) - tonumber(ARGV[2])) / HOUR_MS)
local size, at = alias_size(P), tonumber(redis.call('HGET', P .. 'aliases', 'swept') or '0')
if size.names == 0 then return 0 end
free_first(P)
local gone = 0
for _ = 1, math.min(SWEPT_BUCKETS, math.ceil(size.buckets / SWEEPS)) do
  at = at < size.buckets and at or 0
  local key = P .. 'aliases:' .. int(at)
  local flat, old = redis.call('HGETALL', key), {}
  for i = 1, #flat, 2 do
    if tonumber(string.match(flat[i + 1], '^%d+')) < oldest then old[#old + 1] = flat[i] end
  end
  if #old > 0 then gone = gone + redis.call('HDEL', key, unpack(old)) end
  at = at + 1
end
redis.call('HSET', P .. 'aliases', 'swept', int(at), 'names', int(math.max(0, size.names - gone)))
return gone
