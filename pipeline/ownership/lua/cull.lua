-- Remove an account's entries from a part of the raw stream, or of what is held. The default one's are also those that
-- name an account which is not configured: as dead letters they would be.
-- KEYS[1] the stream
-- ARGV    account, id to begin at, last id, most entries to look at, other accounts that are configured...
-- Returns {id of the last one looked at or '', how many were removed}
local found = read_stream(KEYS[1], ARGV[2], ARGV[3], tonumber(ARGV[4]))
local gone, others = 0, {}
for i = 5, #ARGV do others[ARGV[i]] = true end
for _, entry in ipairs(found) do
  local account = DEFAULT_ACCOUNT
  for i = 1, #entry[2], 2 do
    if entry[2][i] == 'account' then account = entry[2][i + 1] end
  end
  local is_its = account == ARGV[1] or ARGV[1] == DEFAULT_ACCOUNT and not others[account]
  if is_its then gone = gone + redis.call('XDEL', KEYS[1], entry[1]) end
end
return { #found > 0 and found[#found][1] or '', gone }
