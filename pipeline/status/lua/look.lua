-- What some mailboxes of one lane wait for, without moving their events.
-- KEYS    a mailbox and its state, as often as there are mailboxes
-- Returns {when the oldest head was accepted (ms; '0' without any), heads being retried, mailboxes
--          that wait for an email, events in all of them}
local oldest, retrying, waiting_email, events = math.huge, 0, 0, 0
for i = 1, #KEYS, 2 do
  local head = redis.call('LINDEX', KEYS[i], 0)
  if head then
    events = events + redis.call('LLEN', KEYS[i])
    local entry = cjson.decode(string.sub(head, 1, string.find(head, '\n', 1, true) - 1))
    local fields = redis.call('HMGET', KEYS[i + 1], 'waits', 's:' .. entry.seq)
    oldest = math.min(oldest, tonumber(string.match(entry.seq, '^%d+')))
    if fields[1] == 'email' then
      waiting_email = waiting_email + 1
    elseif fields[2] and tonumber(cjson.decode(fields[2]).tried) > 0 then
      retrying = retrying + 1
    end
  end
end
return { oldest == math.huge and '0' or string.format('%.0f', oldest), retrying, waiting_email, events }
