-- Appends entries to the raw stream, all of them or none.
-- KEYS[1] the raw stream
-- ARGV    for each entry its account and the event's JSON
-- Returns how long the stream is now
for i = 1, #ARGV, 2 do
  if ARGV[i] == 'default' then
    redis.call('XADD', KEYS[1], '*', 'event', ARGV[i + 1])
  else
    redis.call('XADD', KEYS[1], '*', 'event', ARGV[i + 1], 'account', ARGV[i])
  end
end
return redis.call('XLEN', KEYS[1])
