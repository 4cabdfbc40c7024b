-- Stores what was loaded, if nothing was stored or deleted since the load was announced.
-- KEYS[1]  the value, KEYS[2]  its lease: the set of the tokens of the loads under way
-- ARGV[1]  the load's token, ARGV[2]  the value, ARGV[3]  ms to keep it
-- Returns 1 if stored, 0 if not.
-- A lease of another type has no token either: then this is an error, and not 1.
if redis.pcall('SISMEMBER', KEYS[2], ARGV[1]) ~= 1 then return 0 end
redis.call('UNLINK', KEYS[2])
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
