-- Deletes a value and ends the load of it that is under way.
-- KEYS[1]  the value, KEYS[2]  its lease
-- Returns 1 if there was a value, 0 if not.
redis.call('UNLINK', KEYS[2])
return redis.call('UNLINK', KEYS[1])
