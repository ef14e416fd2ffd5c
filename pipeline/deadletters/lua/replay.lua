-- Replay dead letters: out of the store and into their mailboxes in one step, as bulk, asking no dedupe.
-- ARGV    now, id...
-- Returns the ids that were still there
local now, done = ms(ARGV[1]), {}
for i = 2, #ARGV do
  if revive(P, ARGV[i], now, true) then done[#done + 1] = ARGV[i] end
end
return done
