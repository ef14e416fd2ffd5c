-- To whom an email, in lower case, belongs by what was learned.
-- ARGV    email
-- Returns {the userId that owns it, the first anonymousId that identified with it}, false for what is not known
return follow_alias(P, { 'email', 'visitor' }, ARGV[1])
