-- Stores what was loaded, if the load still has the lease.
-- KEYS[1]  the value, KEYS[2]  its lease: the token of the load that has it
-- ARGV[1]  the load's token, ARGV[2]  the value, ARGV[3]  ms to keep it
-- Returns 1 if stored, 0 if not.
if redis.call('MGET', KEYS[2])[1] ~= ARGV[1] then return 0 end
-- First, as in set.lua. When it is refused the lease is as it was, and the load releases it.
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
redis.call('UNLINK', KEYS[2])
return 1
