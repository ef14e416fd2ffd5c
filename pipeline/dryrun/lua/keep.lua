-- Keep a call of a dry run, behind those before it, in a full Redis, too: what is delivered makes room.
-- ARGV    now ('' = Redis' clock), field, value, ...
local now, key = ms(ARGV[1]), P .. 'dry-calls'
redis.call('XTRIM', key, 'MINID', int(now - DRY_CALLS_KEEP_MS)) -- frees first: see lib.lua
redis.call('XADD', key, 'MAXLEN', '~', DRY_CALLS_KEPT, '*', unpack(ARGV, 2))
redis.call('PEXPIRE', key, DRY_CALLS_KEEP_MS)
