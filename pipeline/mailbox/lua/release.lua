-- Let mailboxes that wait be looked at now, and let Sailthru be asked anew for what it did not have.
-- ARGV    now, lane, what they wait for ('' for nothing that is written down: a retry, say), box...
-- Returns how many it was done for: not those that are leased, or do not wait for that any more
local now, lane, waits, done = ms(ARGV[1]), ARGV[2], ARGV[3], 0
free_first(P)
for i = 4, #ARGV do
  local box = ARGV[i]
  local state_key = mailbox_state(P, lane, box)
  local have = redis.call('HMGET', state_key, 'token', 'waits')
  local due = redis.call('ZSCORE', due_set(P, lane), box) or redis.call('ZSCORE', due_set(P, lane, true), box)
  if due and tonumber(due) > now and not have[1] and (have[2] or '') == waits then
    redis.call('HDEL', state_key, 'absence')
    look_now(P, lane, box, now)
    done = done + 1
  end
end
return done
