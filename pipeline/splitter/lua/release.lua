-- Give entries that were held back to the raw stream: those of accounts that are known by now, and those that have been
-- held for too long, which are told so.
-- KEYS[1] what is held, KEYS[2] the raw stream
-- ARGV    now, id to begin at, most entries to look at, for how many ms one is held, what tells the others so, accounts...
-- Returns the id of the last one that was looked at, '' without any
local now, keep, given_up, known = ms(ARGV[1]), tonumber(ARGV[4]), ARGV[5], {}
for i = 6, #ARGV do known[ARGV[i]] = true end
local found = read_stream(KEYS[1], ARGV[2], '+', tonumber(ARGV[3]))
free_first(KEYS[1])
for _, entry in ipairs(found) do
  local fields, account, late = entry[2], DEFAULT_ACCOUNT, nil
  for i = 1, #fields, 2 do
    if fields[i] == 'account' then
      account = fields[i + 1]
    elseif fields[i] == 'held' and now - (tonumber(fields[i + 1]) or 0) >= keep then
      late = i + 1
    end
  end
  if late then fields[late] = given_up end
  if late or known[account] then
    redis.call('XDEL', KEYS[1], entry[1])
    redis.call('XADD', KEYS[2], '*', unpack(fields))
  end
end
return #found > 0 and found[#found][1] or ''
