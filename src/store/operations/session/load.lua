-- The session, and a note of the activity.
-- KEYS: 1 the session.
-- Answer: lineage, age of the id, time until the absolute timeout (µs), the hash.
local session, none = reach(KEYS[1])
if not session then return none end
touch(KEYS[1], session)
local age = math.max(0, now - session.issued)
return {2, session.lineage, age, session.remaining, redis.call('HGETALL', KEYS[1])}
