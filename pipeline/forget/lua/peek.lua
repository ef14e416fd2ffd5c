-- The entries of some mailboxes, one after the other, as many as one reply may hold, but one in any case.
-- KEYS[2...] the mailboxes
-- ARGV    entry of the first one to begin with
-- Returns {mailbox and entry with which the next call begins (0, 0 at the end); then number of the mailbox, entry, ...}
local first, bytes, reply = tonumber(ARGV[1]), 0, { 0, 0 }
for i = 2, #KEYS do
  for at = first, redis.call('LLEN', KEYS[i]) - 1, 20 do
    for n, entry in ipairs(redis.call('LRANGE', KEYS[i], at, at + 19)) do
      bytes = bytes + #entry
      if bytes > RAW_READ_BYTES and #reply > 2 then
        reply[1], reply[2] = i - 1, at + n - 1
        return reply
      end
      reply[#reply + 1] = i - 1
      reply[#reply + 1] = entry
    end
  end
  first = 0
end
return reply
