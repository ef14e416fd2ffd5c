-- Some entries of a mailbox, as many as one reply may hold, but one in any case.
-- KEYS[2] the mailbox
-- ARGV    entry to begin at, most entries
-- Returns the entries
local reply, bytes = {}, 0
local from, most = tonumber(ARGV[1]), tonumber(ARGV[2])
for at = from, from + most - 1, 20 do
  for _, entry in ipairs(redis.call('LRANGE', KEYS[2], at, math.min(at + 20, from + most) - 1)) do
    bytes = bytes + #entry
    if bytes > RAW_READ_BYTES and #reply > 0 then return reply end
    reply[#reply + 1] = entry
  end
end
return reply
