-- Look through some mailboxes of one lane, or some entries of the raw stream, for a text.
-- KEYS    the mailboxes; or the raw stream alone
-- ARGV    the text, 'mail' or 'raw'; of the raw stream: where to begin, how many entries
-- Returns of mailboxes {position of the mailbox, entry, ...} and of the raw stream {where to go on or '', sid, event, account, ...}
local text, reply, bytes = ARGV[1], {}, 0
if ARGV[2] == 'mail' then
  for i, box in ipairs(KEYS) do
    for _, entry in ipairs(redis.call('LRANGE', box, 0, SOUGHT_ENTRIES - 1)) do
      if bytes < PAGE_BYTES and string.find(entry, text, 1, true) then
        reply[#reply + 1] = i
        reply[#reply + 1] = entry
        bytes = bytes + #entry
      end
    end
  end
  return reply
end
local found = redis.call('XRANGE', KEYS[1], ARGV[3], '+', 'COUNT', ARGV[4])
reply[1] = #found > 0 and '(' .. found[#found][1] or ''
for _, entry in ipairs(found) do
  local event, account = '', DEFAULT_ACCOUNT
  for i = 1, #entry[2], 2 do
    if entry[2][i] == 'event' then event = entry[2][i + 1] end
    if entry[2][i] == 'account' then account = entry[2][i + 1] end
  end
  if bytes < PAGE_BYTES and string.find(event, text, 1, true) then
    for _, one in ipairs({ entry[1], event, account }) do reply[#reply + 1] = one end
    bytes = bytes + #event
  end
end
return reply
