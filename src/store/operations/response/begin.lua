-- Announces a fill: whoever fetches a response for this primary key says so first.
-- KEYS[1]  the primary key's hash
-- ARGV[1]  a fresh generation, ARGV[2]  ms until the announcement lapses
-- Returns the generation that a store of the response has to name.
redis.call('HSETNX', KEYS[1], 'g', ARGV[1])
redis.call('HINCRBY', KEYS[1], 'n', 1)
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return redis.call('HGET', KEYS[1], 'g')
