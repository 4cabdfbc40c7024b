-- Adds to a number of a session; what is no integer counts as absent.
-- KEYS: 1 the session. ARGV: 5 field, 6 what to add.
-- Answer: the sum as text (a Lua number would round it); nil when it would overflow.
local session, none = reach(KEYS[1])
if not session then return none end
local sum = redis.pcall('HINCRBY', KEYS[1], ARGV[5], ARGV[6])
if type(sum) == 'table' then
  if string.find(sum.err, 'overflow', 1, true) then return {2, false} end
  if not string.find(sum.err, 'not an integer', 1, true) then return sum end
  redis.call('HSET', KEYS[1], ARGV[5], ARGV[6])
end
touch(KEYS[1], session)
return {2, redis.call('HGET', KEYS[1], ARGV[5])}
