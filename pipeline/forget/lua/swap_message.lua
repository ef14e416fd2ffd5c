-- Put a wake-up that names fewer mailboxes in the place of one; it is next in line.
-- KEYS[2] the Celery queue
-- ARGV    the message as it was, as it is to be ('' removes it)
-- Returns 1, or 0 when a worker has taken it meanwhile
local gone = redis.call('LREM', KEYS[2], 1, ARGV[1]) -- frees first: see lib.lua
if gone > 0 and ARGV[2] ~= '' then redis.call('RPUSH', KEYS[2], ARGV[2]) end
return gone
