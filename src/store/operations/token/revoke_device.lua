-- KEYS  1 the user's families
-- ARGV  1 the digest of a device
-- Answers 1.
local call = redis.call
local stored, gone = call('HGETALL', KEYS[1]), {}
for i = 1, #stored, 2 do
  if string.sub(stored[i + 1], 87, 102) == ARGV[1] then gone[#gone + 1] = stored[i] end
end
if #gone > 0 then call('HDEL', KEYS[1], unpack(gone)) end
return 1
