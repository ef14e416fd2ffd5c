-- Write an act of a person down, in a full Redis, too: to drop letters is how room is made.
-- ARGV    field, value, ...
free_first(P)
return redis.call('XADD', P .. 'audit', 'MAXLEN', '~', AUDIT_KEPT, '*', unpack(ARGV))
