-- Sets a value and ends every load of it that is under way: what that finds may be older.
-- KEYS[1]  the value, KEYS[2]  its lease
-- ARGV[1]  the new value, ARGV[2]  ms to keep it
redis.call('UNLINK', KEYS[2])
return redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
