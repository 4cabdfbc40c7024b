-- Takes a stamp away that is still the same.
-- KEYS[1]  the tag, ARGV[1]  the stamp
if redis.call('MGET', KEYS[1])[1] == ARGV[1] then redis.call('UNLINK', KEYS[1]) end
return redis.status_reply('OK')
