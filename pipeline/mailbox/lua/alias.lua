-- Where an anonymousId, or an email in lower case, leads by what was learned.
-- ARGV    name, kind of alias...
-- Returns for each kind the id, false where that is not known
return follow_alias(P, { unpack(ARGV, 2) }, ARGV[1])
