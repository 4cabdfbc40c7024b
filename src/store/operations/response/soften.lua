-- Changes the second half of a tag's stamp: what was stored under the tag is stale.
-- KEYS[1]  the tag, ARGV[1]  the new half
local stamp = redis.call('MGET', KEYS[1])[1]
if stamp and #stamp == 16 then
  redis.call('SET', KEYS[1], string.sub(stamp, 1, 8) .. ARGV[1], 'KEEPTTL')
end
return redis.status_reply('OK')
