-- Put on record what a cart or order POST is about to do, under the owner's token.
-- ARGV    lane, box, token, step, intent (JSON)
-- Returns 'yes' or 'stale'. It may be repeated: it is not a step, so that a settle after a lost answer is no
-- 'again'.
local lane, box, token, step = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if owner(P, lane, box, token, step) ~= 'yes' then return 'stale' end
free_first(mailbox_state(P, lane, box))
redis.call('HSET', mailbox_state(P, lane, box), 'intent', ARGV[5])
return 'yes'
