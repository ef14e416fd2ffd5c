-- Look through some blocks of one part of the log of outcomes, the newest first, for names.
-- KEYS[1] the account's prefix
-- ARGV    part, where to go on: '+' or '(ID', names...
-- Returns {where the next call goes on, '' at the end; then of each block that may hold one of them: records, index, data}
local at, seen, reply = ARGV[2], 0, { '' }
while seen < TRACE_LOOKED do
  local page = redis.call('XREVRANGE', P .. 'trace:' .. ARGV[1], at, '-', 'COUNT', 10)
  if #page == 0 then return reply end
  for _, block in ipairs(page) do
    local fields = block[2]
    seen = seen + #fields[4] + #fields[6]
    for i = 3, #ARGV do
      if string.find(fields[4], ARGV[i], 1, true) then
        for n = 2, 6, 2 do reply[#reply + 1] = fields[n] end
        break
      end
    end
  end
  at = '(' .. page[#page][1]
end
reply[1] = at
return reply
