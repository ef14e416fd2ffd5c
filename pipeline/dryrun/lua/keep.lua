-- Keep a call of a dry run, behind those before it, in a full Redis, too: what is delivered makes room.
-- While events are refused because memory is short, two old ones go for each new one.
-- ARGV    now ('' = Redis' clock), field, value, ...
local now, key = ms(ARGV[1]), P .. 'dry-calls'
redis.call('XTRIM', key, 'MINID', int(now - DRY_CALLS_KEEP_MS)) -- frees first: see lib.lua
local verdict = redis.call('GET', 'sailpipe:verdict')
local is_short = verdict and tonumber(cjson.decode(verdict).memory)
if is_short then redis.call('XTRIM', key, 'MAXLEN', math.max(0, redis.call('XLEN', key) - 2)) end
redis.call('XADD', key, 'MAXLEN', '~', DRY_CALLS_KEPT, '*', unpack(ARGV, 2))
redis.call('PEXPIRE', key, DRY_CALLS_KEEP_MS)
