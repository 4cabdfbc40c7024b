-- Compare-and-set of one field.
-- KEYS: 1 the session. ARGV: 5 field, 6 new value, 7 the value expected; not given: none.
-- Answer: 1; or 0 and the value that is there, if any.
local session, none = reach(KEYS[1])
if not session then return none end
local current = redis.call('HGET', KEYS[1], ARGV[5])
if current ~= (ARGV[7] or false) then return {2, 0, current} end
redis.call('HSET', KEYS[1], ARGV[5], ARGV[6])
touch(KEYS[1], session)
return {2, 1}
