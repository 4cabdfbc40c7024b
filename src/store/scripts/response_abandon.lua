-- Takes a fill's announcement back where nothing was stored.
-- KEYS[1]  the primary key's hash
-- ARGV[1]  the generation
if redis.call('HLEN', KEYS[1]) == 1 and redis.call('HGET', KEYS[1], 'g') == ARGV[1] then
  redis.call('UNLINK', KEYS[1])
end
return redis.status_reply('OK')
