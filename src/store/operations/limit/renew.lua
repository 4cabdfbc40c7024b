-- Keeps the place of a request that is still under way, if it is still there.
--
-- KEYS[1]  a concurrency limit: who holds a place, by the time at which it ends
-- ARGV     who, the microseconds for which it is to be kept
-- Answers 1 if the place was there.
local call, key = redis.call, KEYS[1]
if not call('ZSCORE', key, ARGV[1]) then return 0 end
local time = call('TIME')
local ends = time[1] * 1000000 + time[2] + ARGV[2]
call('ZADD', key, string.format('%.0f', ends), ARGV[1])
local ttl = ARGV[2] / 1000
call('PEXPIRE', key, ttl - ttl % 1 + 2)
return 1
