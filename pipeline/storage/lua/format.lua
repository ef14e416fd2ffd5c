-- Which format the data of this Redis have. One that sailpipe has not worked on yet takes this version's.
-- KEYS[1] the number of the format, KEYS[2] what every splitter has left, also before there was a number
-- ARGV    this version's number, whether to write it down (1/0)
-- Returns the number that is written down; '0' when there is none though a splitter has worked here
local found = redis.call('GET', KEYS[1])
if found then return found end
if redis.call('EXISTS', KEYS[2]) == 1 then return '0' end
if ARGV[2] == '1' then
  redis.call('DEL', KEYS[1]) -- a full Redis takes no first write but one that frees
  redis.call('SET', KEYS[1], ARGV[1])
end
return ARGV[1]
