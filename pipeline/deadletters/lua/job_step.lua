-- Send the next letters of a job, unless another process carries the account's jobs out.
-- ARGV    now, the token of this process, its lease (ms), the job's id, most letters
-- Returns {the job's state, how many were sent, how many were not: gone, or overtaken meanwhile}; the state is 'leased' when
-- another process has the lease. Each letter is looked at as it leaves: what overtakes it may be delivered while the job runs.
local now, token, id, most = ms(ARGV[1]), ARGV[2], ARGV[4], tonumber(ARGV[5])
local key, ids, sent_key = P .. 'jobs:job:' .. id, P .. 'jobs:ids:' .. id, P .. 'jobs:sent:' .. id
local holder = redis.call('GET', P .. 'jobs:lease')
if holder and holder ~= token then return { 'leased', 0, 0 } end
free_first(P)
redis.call('SET', P .. 'jobs:lease', token, 'PX', ARGV[3])
local job = redis.call('HMGET', key, 'state', 'first', 'overtakes')
if job[1] ~= 'running' then return { job[1] or 'stopped', 0, 0 } end
local first = tonumber(job[2] or '0')
if first > 0 then most = math.min(most, first) end

local sent, gone, stayed = 0, 0, 0
for _, letter in ipairs(redis.call('LRANGE', ids, 0, most - 1)) do
  local head, is_late = revive(P, letter, now, true, job[3] ~= '1')
  if head then
    sent = sent + 1
    redis.call('RPUSH', sent_key, cjson.encode({ letter, head.fingerprint or '', int(now) }))
  elseif is_late then
    stayed = stayed + 1
  else
    gone = gone + 1
  end
end
local through = sent + gone + stayed
redis.call('LTRIM', ids, through, -1)
redis.call('LTRIM', sent_key, -JOB_WATCHED, -1)
redis.call('HINCRBY', key, 'sent', sent)
redis.call('HINCRBY', key, 'gone', gone)
redis.call('HINCRBY', key, 'overtaken', stayed)
local state = 'running'
if redis.call('EXISTS', ids) == 0 then
  state = 'done'
elseif first > 0 then
  if redis.call('HINCRBY', key, 'first', -through) <= 0 then state = 'asking' end
end
if state ~= 'running' then end_or_go_on(P, id, state, now) end
return { state, sent, gone + stayed }
