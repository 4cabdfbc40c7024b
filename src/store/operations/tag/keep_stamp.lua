-- Answers a tag's stamp and lets it live as long as an entry that is going to keep it.
-- KEYS[1]  the stamp
-- ARGV[1]  the new stamp, for a tag that has none, ARGV[2]  ms to keep it at least
--
-- Where a key of another type stands, MGET answers nil and GET fails; SET replaces it.
local stamp = redis.call('MGET', KEYS[1])[1]
if not stamp then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return ARGV[1]
end
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return stamp
