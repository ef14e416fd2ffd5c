-- Look through some entries of the raw stream for a text, TRACE_LOOKED bytes at most.
-- KEYS[1] the raw stream
-- ARGV    the text, where to begin
-- Returns {where the next call begins, '' at the end; then id, event, account and way in of each entry that holds the text}
local text, at, seen, reply = ARGV[1], ARGV[2], 0, { '' }
while seen < TRACE_LOOKED do
  local page = redis.call('XRANGE', KEYS[1], at, '+', 'COUNT', 20)
  if #page == 0 then return reply end
  for _, entry in ipairs(page) do
    local event, account, via = '', DEFAULT_ACCOUNT, ''
    for i = 1, #entry[2], 2 do
      if entry[2][i] == 'event' then event = entry[2][i + 1] end
      if entry[2][i] == 'account' then account = entry[2][i + 1] end
      if entry[2][i] == 'via' then via = entry[2][i + 1] end
    end
    seen = seen + #event
    if string.find(event, text, 1, true) then
      for _, one in ipairs({ entry[1], event, account, via }) do reply[#reply + 1] = one end
    end
  end
  at = '(' .. page[#page][1]
end
reply[1] = at
return reply
