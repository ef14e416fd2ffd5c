-- Which entries of a batch are duplicates, asked before it is routed. Reads only: split.lua is the judge.
-- It judges the same unless a window has run out meanwhile, because only the splitter with the lease
-- writes what is read here.
-- ARGV    now, then for each entry its action (JSON), of which p, id, hash, window and replay count
-- Returns for each 1 when it is a duplicate, else 0
local now, answer = ms(ARGV[1]), {}
for i = 2, #ARGV do answer[i - 1] = is_duplicate(cjson.decode(ARGV[i]), now) and 1 or 0 end
return answer
