-- Remove letters that died in one hour, the newest first: of each group as many as it is told, and none once no more
-- than DEAD_MAX are left.
-- ARGV    hour, how many of its newest letters to pass over, how many to look at, DEAD_MAX, group -> how many (JSON)
-- Returns {how many were looked at (0: there are no more, or no more to remove), group, removed of it, ...}
local hour, passed, page = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local left = cjson.decode(ARGV[5])
free_first(P)
local excess = redis.call('ZCARD', P .. 'dead:at') - tonumber(ARGV[4])
local first = redis.call('ZCOUNT', P .. 'dead:at', int((hour + 1) * HOUR_MS), '+inf') + passed
local found = redis.call('ZREVRANGE', P .. 'dead:at', int(first), int(first + page - 1), 'WITHSCORES')

local looked, removed, reasons, total = 0, {}, {}, 0
for i = 1, #found, 2 do
  if excess <= total or tonumber(found[i + 1]) < hour * HOUR_MS then break end
  looked = looked + 1
  local head = cjson.decode(header(redis.call('HGET', P .. 'dead', found[i])))
  local group = group_of(head)
  if (left[group] or 0) > (removed[group] or 0) then
    unbury(P, found[i])
    total = total + 1
    removed[group] = (removed[group] or 0) + 1
    reasons[head.reason] = (reasons[head.reason] or 0) + 1
  end
end

if total > 0 then tally(P, COUNT_REMOVED, total) end
for reason, count in pairs(reasons) do tally(P, COUNT_TRIMMED .. ':' .. reason, count) end
local reply = { looked }
for group, count in pairs(removed) do
  reply[#reply + 1] = group
  reply[#reply + 1] = count
end
return reply
