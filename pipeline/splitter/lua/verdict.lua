-- Say what the splitter that holds the lease found, for a while: should it die, producers are not refused for ever.
-- KEYS[1] the verdict, KEYS[2] the splitter's lease
-- ARGV    the splitter's token, the verdict ('' for none), for how many ms
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return end
redis.call('DEL', KEYS[1]) -- frees first: see lib.lua
if ARGV[2] ~= '' then redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
