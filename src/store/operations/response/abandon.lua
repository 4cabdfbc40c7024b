-- Takes a fill's announcement back. The last one takes the key along where nothing is stored.
-- KEYS[1]  the primary key's hash
-- ARGV[1]  the generation
local known = redis.call('HMGET', KEYS[1], 'g', 'i')
if known[1] == ARGV[1] and redis.call('HINCRBY', KEYS[1], 'n', -1) <= 0 and not known[2] then
  redis.call('UNLINK', KEYS[1])
end
return redis.status_reply('OK')
