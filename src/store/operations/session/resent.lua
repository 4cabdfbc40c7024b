-- Sent again after a lost reply: where the first time has renewed the id, go on under the new one.
local resent = KEYS[2] and (not meta or type(meta) == 'string' and string.sub(meta, 2) == ARGV[#ARGV - 2])
if resent then
  key, presented = KEYS[2], false
  meta = redis.pcall('HGET', key, 'm')
end
