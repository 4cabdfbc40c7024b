-- A new session under a fresh id.
-- KEYS: 1 the session. ARGV: 5… pairs of field and value.
local key = KEYS[1]
redis.call('HSET', key, 'm:lineage', ARGV[4], 'm:created', stamp, 'm:issued', stamp, 'm:touched', stamp)
for i = 5, #ARGV, 2 do redis.call('HSET', key, ARGV[i], ARGV[i + 1]) end
expire(key, math.min(idle, absolute))
return {2}
