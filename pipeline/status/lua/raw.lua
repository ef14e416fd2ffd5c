-- Whose some raw entries are.
-- KEYS[1] the raw stream, or what is held of it
-- ARGV    id to begin at, most entries
-- Returns {id of the last one or '', account, entries, account, entries, ...}
local found = read_stream(KEYS[1], ARGV[1], '+', tonumber(ARGV[2]))
local counts, reply = {}, { #found > 0 and found[#found][1] or '' }
for _, entry in ipairs(found) do
  local account = DEFAULT_ACCOUNT
  for i = 1, #entry[2], 2 do
    if entry[2][i] == 'account' then account = entry[2][i + 1] end
  end
  counts[account] = (counts[account] or 0) + 1
end
for account, count in pairs(counts) do
  reply[#reply + 1] = account
  reply[#reply + 1] = count
end
return reply
