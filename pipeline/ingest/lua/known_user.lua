-- What is known of a user who goes by a userId, an email or both. Reads only.
-- KEYS[1]     the account's prefix
-- KEYS[2...]  exist where Sailthru said lately that it has the user
-- ARGV        userId and email (as `address_key` in events/emails.py writes it); '' for none
-- Returns     1 if the user is known, else 0, and the userId that the email leads to, or ''
local id, email = ARGV[1], ARGV[2]
local known, owner = false, ''
for i = 2, #KEYS do known = known or redis.call('EXISTS', KEYS[i]) == 1 end
if id ~= '' then
  local said = redis.call('HMGET', P .. 'user:' .. id, 'identified', 'email', 'email_by')
  local by_server = said[2] and not said[3]
  known = known or said[1] or by_server or redis.call('EXISTS', mail(P, IDENTIFY_LANE, id)) == 1
end
if email ~= '' then
  local leads = follow_alias(P, { 'email', 'visitor' }, email)
  owner = leads[1] or ''
  known = known or leads[1] or leads[2] or redis.call('EXISTS', mail(P, IDENTIFY_LANE, email)) == 1
end
return { known and 1 or 0, owner }
