-- Stores what was loaded, if nothing was stored or deleted since the load was announced.
-- KEYS[1]  the value, KEYS[2]  its lease: the set of the tokens of the loads under way
-- ARGV[1]  the load's token, ARGV[2]  the value, ARGV[3]  ms to keep it
-- Returns 1 if stored, 0 if not.
local stands = redis.pcall('SISMEMBER', KEYS[2], ARGV[1])
-- A lease of another type has no token either.
if type(stands) == 'table' and string.sub(stands.err, 1, 9) ~= 'WRONGTYPE' then return stands end
if stands ~= 1 then return 0 end
-- First, as in set.lua. When it is refused, the lease is as it was, and the caller takes its
-- token back.
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
redis.call('UNLINK', KEYS[2])
return 1
