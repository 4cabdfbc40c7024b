-- Announces a load, unless there is a value after all.
-- KEYS[1]  the value, KEYS[2]  its lease: the set of the tokens of the loads under way
-- ARGV[1]  the load's token, ARGV[2]  ms until the lease lapses
-- ARGV[3]  1 to announce it whatever is stored, because that cannot be read
-- Returns the value, or nil if the load is announced.
if ARGV[3] == '0' then
  -- Where a key of another type stands, MGET answers nil and GET fails.
  local value = redis.call('MGET', KEYS[1])[1]
  if value then return value end
end
local added = redis.pcall('SADD', KEYS[2], ARGV[1])
if type(added) == 'table' then
  -- Nothing but a key of another type makes room: after an UNLINK, a server at its memory limit
  -- would take the SADD as well.
  if string.sub(added.err, 1, 9) ~= 'WRONGTYPE' then return added end
  redis.call('UNLINK', KEYS[2])
  redis.call('SADD', KEYS[2], ARGV[1])
end
if redis.call('PTTL', KEYS[2]) < tonumber(ARGV[2]) then
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
end
return false
