-- What some mailboxes of one lane hold, and what their first events wait for.
-- KEYS    a mailbox and its state, as often as there are mailboxes
-- Returns for each {seq of its head, its clock or '', what it waits for or '', attempts of the head, events}; {} when it is empty
local reply = {}
for i = 1, #KEYS, 2 do
  local head, row = redis.call('LINDEX', KEYS[i], 0), {}
  if head then
    local entry = cjson.decode(header(head))
    local fields = redis.call('HMGET', KEYS[i + 1], 'waits', 's:' .. entry.seq)
    local tried = fields[2] and cjson.decode(fields[2]).tried or 0
    local clock = entry.clock and int(entry.clock) or ''
    row = { entry.seq, clock, fields[1] or '', int(tried), redis.call('LLEN', KEYS[i]) }
  end
  reply[#reply + 1] = row
end
return reply
