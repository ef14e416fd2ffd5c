-- Look through some blocks of one part of the log of outcomes, the newest first, for names.
-- KEYS[1] the account's prefix
-- ARGV    part, where to go on: '+' or '(ID', names...
-- Returns {where the next call goes on, '' at the end, records that were looked at; then of each block that may hold one of
--   the names: id, records, index, data}
local at, seen, looked, reply = ARGV[2], 0, 0, { '', 0 }
local cost = math.max(1, (#ARGV - 2) / 4) -- each name is sought by itself
while seen < TRACE_LOOKED do
  local page = redis.call('XREVRANGE', P .. 'trace:' .. ARGV[1], at, '-', 'COUNT', 10)
  if #page == 0 then
    reply[2] = looked
    return reply
  end
  for _, block in ipairs(page) do
    local fields = block[2]
    seen, looked = seen + #fields[4] * cost + #fields[6], looked + fields[2]
    for i = 3, #ARGV do
      if string.find(fields[4], ARGV[i], 1, true) then
        reply[#reply + 1] = block[1]
        for n = 2, 6, 2 do reply[#reply + 1] = fields[n] end
        break
      end
    end
  end
  at = '(' .. page[#page][1]
end
reply[1], reply[2] = at, looked
return reply
