-- Sets a value and ends the load of it that is under way: what that finds may be older.
-- KEYS[1]  the value, KEYS[2]  its lease
-- ARGV[1]  the new value, ARGV[2]  ms to keep it, or nothing: it does not expire
--
-- SET comes first: whether a server at its memory limit takes a script is decided by the first
-- command that writes.
local set
if ARGV[2] then
  set = redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
else
  set = redis.call('SET', KEYS[1], ARGV[1])
end
redis.call('UNLINK', KEYS[2])
return set
