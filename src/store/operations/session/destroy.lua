-- Ends a session.
-- KEYS: 1 the session.
local session, none = reach(KEYS[1])
if not session then return none end
redis.call('UNLINK', KEYS[1])
return {2}
