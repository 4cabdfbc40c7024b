-- Takes the lease of a load, unless there is a value after all or another load has it.
-- KEYS[1]  the value, KEYS[2]  its lease: the token of the load that has it
-- ARGV[1]  the load's token, ARGV[2]  ms until the lease expires
-- ARGV[3]  1 if a value that begins with ARGV[4] is to be replaced
-- Returns the value if there is another one, 1 if the lease was taken, 0 if it is another's.
--
-- Where a key of another type stands, MGET answers nil and GET fails; SET replaces it.
local found = redis.call('MGET', KEYS[1], KEYS[2])
local value, holder = found[1], found[2]
if value and (ARGV[3] == '0' or string.sub(value, 1, 64) ~= ARGV[4]) then return value end
-- What has not the length of a token is no lease.
if holder and holder ~= ARGV[1] and #holder == #ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return 1
