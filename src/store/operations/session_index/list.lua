-- KEYS  1 the index
-- Answers the time (ms), and lineages and entries by turns.
local time = redis.call('TIME')
return { time[1] * 1000 + (time[2] - time[2] % 1000) / 1000, redis.call('HGETALL', KEYS[1]) }
