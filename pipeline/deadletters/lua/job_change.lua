-- Bring a job into another state, if it is in one from which it may come there.
-- ARGV    now, its id, the new state, why ('' keeps what is there), the states that it may be in...
-- Returns the state that it is in now, or nil when there is no such job
local now, id, state = ms(ARGV[1]), ARGV[2], ARGV[3]
local key = P .. 'jobs:job:' .. id
local have = redis.call('HGET', key, 'state')
for i = 5, #ARGV do
  if have == ARGV[i] then
    end_or_go_on(P, id, state, now)
    if ARGV[4] ~= '' then redis.call('HSET', key, 'detail', ARGV[4]) end
    return state
  end
end
return have
