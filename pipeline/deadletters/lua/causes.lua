-- Dead letters by fingerprint, the most frequent first, each with its newest letter's header.
-- ARGV    how many to pass over, how many to return
-- Returns {fingerprint, letters, users (about), first died at, last died at, id of the newest, its header JSON, ...}
local from, most = tonumber(ARGV[1]), tonumber(ARGV[2])
local found = redis.call('ZREVRANGE', P .. 'dead:causes', from, from + most - 1, 'WITHSCORES')
local reply, bytes = {}, 0
for i = 1, #found, 2 do
  local cause, index = found[i], P .. 'dead:by:cause:' .. found[i]
  local oldest, newest = redis.call('ZRANGE', index, 0, 0, 'WITHSCORES'), redis.call('ZREVRANGE', index, 0, 0, 'WITHSCORES')
  if #newest > 0 then
    if bytes > PAGE_BYTES then break end
    local head = header(redis.call('HGET', P .. 'dead', newest[1]) or '\n')
    bytes = bytes + #head
    local people = math.min(redis.call('PFCOUNT', P .. 'dead:people:' .. cause), tonumber(found[i + 1]))
    for _, value in ipairs({ cause, found[i + 1], people, oldest[2], newest[2], newest[1], head }) do
      reply[#reply + 1] = value
    end
  end
end
return reply
