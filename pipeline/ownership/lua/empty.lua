-- Remove mailboxes with all they hold. A worker that owns one finds its claim stale.
-- ARGV    lane, box...
-- Returns how many events were in them
local lane, gone = ARGV[1], 0
for i = 2, #ARGV do
  local box = ARGV[i]
  gone = gone + redis.call('LLEN', mail(P, lane, box))
  redis.call('UNLINK', mail(P, lane, box), mailbox_state(P, lane, box)) -- frees first: see lib.lua
  redis.call('ZREM', due_set(P, lane), box)
  redis.call('ZREM', due_set(P, lane, true), box)
  redis.call('ZREM', P .. 'leased:' .. lane, box)
end
if gone > 0 then tally(P, COUNT_WAITING .. ':' .. lane, -gone) end
return gone
