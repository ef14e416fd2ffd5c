-- Put on record what a cart or order POST is about to do, under the owner's token.
-- ARGV    lane, box, token, step, intent (JSON)
-- Returns 'yes', 'again' or 'stale'
local lane, box, token, step = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local mine = owner(P, lane, box, token, step)
if mine == 'yes' then
  redis.call('HSET', book(P, lane, box), 'intent', ARGV[5], 'step', tonumber(step) + 1)
end
return mine
