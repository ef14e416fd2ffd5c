-- Change whose an account is, unless another process has changed it meanwhile.
-- ARGV    what was found ('' = nothing), what it is to be ('' = nothing)
-- Returns 1 when it was changed
if (redis.call('GET', P .. 'target') or '') ~= ARGV[1] then return 0 end
redis.call('DEL', P .. 'target') -- frees first: see lib.lua
if ARGV[2] ~= '' then redis.call('SET', P .. 'target', ARGV[2]) end
return 1
