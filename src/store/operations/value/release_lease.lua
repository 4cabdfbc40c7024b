-- Ends a load's lease, if the load still has it.
-- KEYS[1]  the lease: the token of the load that has it
-- ARGV[1]  the load's token
-- Returns 1 if the load had it, 0 if not.
if redis.call('MGET', KEYS[1])[1] ~= ARGV[1] then return 0 end
return redis.call('UNLINK', KEYS[1])
