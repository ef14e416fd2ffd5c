-- Look through some mailboxes of one lane for a text, TRACE_LOOKED bytes at most.
-- KEYS    the mailboxes
-- ARGV    the text, the entry of the first mailbox to begin with
-- Returns {number of the mailbox and its entry with which the next call begins (0 at the end), mailboxes that hold more than
--   SOUGHT_ENTRIES, which are looked at no further; then number of the mailbox, entry, ... of what holds the text}
local text, first, seen, reply = ARGV[1], tonumber(ARGV[2]), 0, { 0, 0, 0 }
for i, box in ipairs(KEYS) do
  if redis.call('LLEN', box) > SOUGHT_ENTRIES then reply[3] = reply[3] + 1 end
  for at = first, SOUGHT_ENTRIES - 1, 20 do
    local page = redis.call('LRANGE', box, at, math.min(at + 20, SOUGHT_ENTRIES) - 1)
    for _, entry in ipairs(page) do
      seen = seen + #entry
      if string.find(entry, text, 1, true) then
        reply[#reply + 1] = i
        reply[#reply + 1] = entry
      end
    end
    if seen >= TRACE_LOOKED then
      reply[1], reply[2] = i, at + 20
      return reply
    end
    if #page < 20 then break end
  end
  first = 0
end
return reply
