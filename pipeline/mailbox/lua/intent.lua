-- Put on record what a cart or order POST is about to do, under the owner's token, and reserve an order's id.
-- ARGV    now, lane, box, token, step, intent (JSON), and for an order with an id of its own: the id, its basket, for
--         how many ms that is known, until when (Unix s) its calls have been looked up in vain ('' = none was)
-- Returns 'yes' or 'stale'; or, when nothing is put on record, 'held' (another mailbox is to post this order),
-- 'posted' (one has), or the intent (JSON) of one that died without an answer and must be looked up first.
-- It may be repeated: it is not a step, so that a settle after a lost answer is no 'again'.
local now, lane, box, token, step, intent = ms(ARGV[1]), ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local id, basket, keep, verified = ARGV[7], ARGV[8], ARGV[9], tonumber(ARGV[10] or '')
local state_key = mailbox_state(P, lane, box)
if owner(P, lane, box, token, step) ~= 'yes' then return 'stale' end

-- What stands in the way of this order, if anything does.
local function obstacle()
  local value = redis.call('HGET', P .. 'order:' .. id, basket)
  if value == ORDER_POSTED then return 'posted' end
  local holder = holder_of(P, lane, basket, id)
  if holder and holder ~= box then return 'held' end
  if not value or string.sub(value, 1, 1) ~= '{' then return nil end
  local left = cjson.decode(value)['until']
  return not (verified and verified >= left) and value or nil
end

local had = redis.call('HGET', state_key, 'order')
local want, answer = id and reserved(basket, id), id and obstacle()
free_first(state_key)
-- The head's email was learned or refused since: it is another order now. It waits for one while it holds none.
if had and had ~= want then
  redis.call('HDEL', state_key, 'order')
  end_order(P, lane, box, had, nil, now)
end
if answer then
  -- If the look-up finds it, the settlement says that it is posted.
  if string.sub(answer, 1, 1) == '{' then redis.call('HSET', state_key, 'order', want) end
  return answer
end
if id then
  local key = P .. 'order:' .. id
  local known = redis.call('HGETALL', key)
  if #known / 2 >= MAX_BASKETS and redis.call('HEXISTS', key, basket) == 0 then
    for i = 1, #known, 2 do
      if known[i + 1] == ORDER_POSTED then
        redis.call('HDEL', key, known[i])
        break
      end
    end
  end
  redis.call('HSET', key, basket, '@' .. box)
  redis.call('PEXPIRE', key, int(keep))
  redis.call('HSET', state_key, 'order', want)
end
redis.call('HSET', state_key, 'intent', intent)
return 'yes'
