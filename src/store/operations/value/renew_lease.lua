-- Lets a load keep its lease for longer.
-- KEYS[1]  the lease: the token of the load that has it
-- ARGV[1]  the load's token, ARGV[2]  ms until the lease expires
-- Returns 1 if the load has it, 0 if not.
if redis.call('MGET', KEYS[1])[1] ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
