-- Reads a tag's stamp and lets it live for some time at least; without one it gets a new one.
-- KEYS[1]  the tag, ARGV[1]  the new stamp, ARGV[2]  ms to live at least
-- It gets twice the time, so that not every call has to prolong it.
local key = KEYS[1]
local stamp = redis.call('MGET', key)[1]
if not stamp or #stamp ~= 16 then
  redis.call('SET', key, ARGV[1], 'PX', 2 * ARGV[2])
  return ARGV[1]
end
if redis.call('PTTL', key) < tonumber(ARGV[2]) then redis.call('PEXPIRE', key, 2 * ARGV[2]) end
return stamp
