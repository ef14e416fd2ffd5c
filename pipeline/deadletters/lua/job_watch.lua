-- Which of the letters that a job sent are dead again.
-- ARGV    its id
-- Returns {how many died of what they had died of before, how many of something else}, since the job began
local id = ARGV[1]
local key, sent_key = P .. 'jobs:job:' .. id, P .. 'jobs:sent:' .. id
if redis.call('EXISTS', key) == 0 then return { 0, 0 } end -- a reset has removed it meanwhile
local left, again, others, found = {}, 0, 0, redis.call('LRANGE', sent_key, 0, -1)
for _, row in ipairs(found) do
  local letter, cause, at = unpack(cjson.decode(row))
  local died = redis.call('ZSCORE', P .. 'dead:at', letter)
  if died and tonumber(died) >= tonumber(at) then
    local head = cjson.decode(header(redis.call('HGET', P .. 'dead', letter)))
    if head.fingerprint == cause then again = again + 1 else others = others + 1 end
  else
    left[#left + 1] = row
  end
end
if #left < #found then
  redis.call('DEL', sent_key)
  if #left > 0 then redis.call('RPUSH', sent_key, unpack(left)) end
end
return { redis.call('HINCRBY', key, 'again', again), redis.call('HINCRBY', key, 'others', others) }
