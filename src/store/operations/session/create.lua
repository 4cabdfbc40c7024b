-- A new session under a fresh random id. Sent again it says the same.
-- KEYS  1 the session, 2 (only with a user) its place
-- ARGV  1 lineage, 2 the lesser of the idle and the absolute timeout (ms), 3 bytes of data in
--       hexadecimal, 4 user or '', 5 the hash of its id, 6 the absolute timeout (ms),
--       7 what is stored of its lifetime or '', 8… field, value, …
-- Answers 1; 0 when it was revoked before it was stored.
local call = redis.call
if KEYS[2] and call('GET', KEYS[2]) == '!' then return 0 end
local time = call('TIME')
local now = time[1] * 1000 + (time[2] - time[2] % 1000) / 1000
local stamp = string.format('%011x', now)
local times = stamp .. stamp .. stamp .. string.format('%010x', ARGV[2] + 0)
call('HSET', KEYS[1], 'm', '=' .. ARGV[1] .. times .. ARGV[3], unpack(ARGV, 8))
if ARGV[7] ~= '' then call('HSET', KEYS[1], 'l', ARGV[7]) end
if ARGV[4] ~= '' then call('HSET', KEYS[1], 'u', ARGV[4]) end
call('PEXPIREAT', KEYS[1], now + ARGV[2])
if KEYS[2] then call('SET', KEYS[2], ARGV[5], 'PX', ARGV[6]) end
return 1
