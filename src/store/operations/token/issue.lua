-- Begins a family. Sent again it says the same.
-- KEYS  1 the user's families
-- ARGV  1 the family, 2 how long its token lives (ms), 3 how many families the user may have,
--       4 digests of the token, the client and the device, 5 scope, line feed, what it is for
-- Answers 1.
local call = redis.call
local key = KEYS[1]
local time = call('TIME')
local now = time[1] * 1000 + (time[2] - time[2] % 1000) / 1000
local ends = now + ARGV[2]

-- What has ended goes, and beyond the bound what was not used for longest.
local gone, live = {}, {}
local stored = call('HGETALL', key)
for i = 1, #stored, 2 do
  if stored[i] ~= ARGV[1] then
    local expiry, generation, rotated = 0, 0, 0
    if #stored[i + 1] >= 102 then
      expiry, generation, rotated = struct.unpack('>I6I4I6', stored[i + 1])
    end
    if expiry <= now then
      gone[#gone + 1] = stored[i]
    else
      live[#live + 1] = { stored[i], generation == 4294967295 and 0 or rotated }
    end
  end
end
local over = #live + 1 - ARGV[3]
if over > 0 then
  table.sort(live, function(a, b) return a[2] < b[2] end)
  for i = 1, over do gone[#gone + 1] = live[i][1] end
end

local digests, nothing = ARGV[4], string.rep('\0', 16)
call('HSET', key, ARGV[1],
  struct.pack('>I6I4I6I6', ends, 1, now, now) .. string.sub(digests, 1, 16)
    .. nothing .. nothing .. string.sub(digests, 17) .. ARGV[5])
if call('PTTL', key) < ends - now then call('PEXPIREAT', key, ends) end
if #gone > 0 then call('HDEL', key, unpack(gone)) end
return 1
