-- Renew all of a process's claims in one account.
-- ARGV    now, lease ms, then lane, box, token for each claim
-- Returns the 1-based numbers of the claims that are lost
local now, lease, lost = ms(ARGV[1]), tonumber(ARGV[2]), {}
free_first(P)
for i = 3, #ARGV, 3 do
  local lane, box = ARGV[i], ARGV[i + 1]
  if redis.call('HGET', mailbox_state(P, lane, box), 'token') == ARGV[i + 2] then
    redis.call('ZADD', P .. 'leased:' .. lane, 'XX', int(now + lease), box)
  else
    lost[#lost + 1] = i / 3
  end
end
return lost
