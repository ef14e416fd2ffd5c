-- Take, keep or give up the splitter's lease.
-- KEYS[1] the lease
-- ARGV    the splitter's token, for how many ms (0 gives it up)
-- Returns 1 when the lease is ours
redis.call('DEL', KEYS[1] .. ':room') -- a first write that frees: a full Redis must be emptied, too
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
