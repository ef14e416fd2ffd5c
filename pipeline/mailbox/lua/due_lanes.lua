-- Which lanes a wake-up may find something in: a mailbox that is due, or one whose lease has run out. Writes nothing,
-- and is cheap for a lane that has neither, so that one call can ask for the lanes of a hundred accounts.
-- KEYS    the due set, the due set of bulk mailboxes and the leased set of each lane, one after the other
-- ARGV    now, or '+inf' to find whatever is there
-- Returns the positions (from 1) of those lanes among the given
local now = ARGV[1] == '+inf' and ARGV[1] or int(ms(ARGV[1]))
-- A key that is no sorted set is its lane's wake-up to complain of: it may hide no other lane.
local function any(key)
  local count = redis.pcall('ZCOUNT', key, '-inf', now)
  return type(count) == 'table' or count > 0
end
local A_LANE, TOGETHER = 3, 15 -- keys, of which most do not exist
local found = {}
for first = 1, #KEYS, TOGETHER do
  local last = math.min(first + TOGETHER - 1, #KEYS)
  if redis.call('EXISTS', unpack(KEYS, first, last)) > 0 then
    for i = first, last, A_LANE do
      if any(KEYS[i]) or any(KEYS[i + 1]) or any(KEYS[i + 2]) then found[#found + 1] = (i + 2) / A_LANE end
    end
  end
end
return found
