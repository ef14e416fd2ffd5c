-- Replay dead letters: out of the store and into their mailboxes in one step, as bulk, asking no dedupe.
-- ARGV    now, '1' if overtaken ones stay, id...
-- Returns the ids that were still there, and went
local now, stays, done = ms(ARGV[1]), ARGV[2] == '1', {}
for i = 3, #ARGV do
  if revive(P, ARGV[i], now, true, stays) then done[#done + 1] = ARGV[i] end
end
return done
