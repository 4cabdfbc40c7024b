-- Stores what was loaded, if nothing was set or deleted since the load was announced.
-- KEYS[1]  the value, KEYS[2]  its lease
-- ARGV[1]  the generation, ARGV[2]  the value, ARGV[3]  ms to keep it
-- Returns 1 if stored, 0 if not.
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('UNLINK', KEYS[2])
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
