-- Remove dead letters for good; they are counted as removed.
-- ARGV    id...
-- Returns how many were there
local gone = 0
for _, id in ipairs(ARGV) do
  if unbury(P, id) then gone = gone + 1 end
end
if gone > 0 then tally(P, COUNT_REMOVED, gone) end
return gone
