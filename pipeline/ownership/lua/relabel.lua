-- Give dead letters new headers; one that has been replaced meanwhile keeps its own.
-- ARGV    id, when it died (ms), header (JSON), as often as there are letters
free_first(P)
for i = 1, #ARGV, 3 do
  local letter, died_at = redis.call('HGET', P .. 'dead', ARGV[i]), redis.call('ZSCORE', P .. 'dead:at', ARGV[i])
  if letter and died_at and tonumber(died_at) == tonumber(ARGV[i + 1]) then
    redis.call('HSET', P .. 'dead', ARGV[i], ARGV[i + 2] .. '\n' .. raw(letter))
  end
end
