-- Exchanges a token for its successor. Sent again it says the same.
-- KEYS  1 the user's families
-- ARGV  1 the family, 2 the presented token's number, 3 the digest of its secret, 4 a nonce of this
--       call's own, 5 the digest of the successor that comes of it, 6 the digest of the client,
--       7 how long a token lives, 8 how long a family does, 9 the grace (all ms),
--       10… the scope that is asked for, each token of it between spaces
-- Answers the nonce of the successor, how long that lives (ms), and scope, line feed, what the
-- family is for; the last alone when the token was used before and the family has ended for it;
-- 0 there is no such token; -1 it is another client's; -2 that is more scope than was granted.
local call = redis.call
local key, name = KEYS[1], ARGV[1]
local family = call('HGET', key, name)
if not family or #family < 102 then return 0 end
local ends, generation, rotated, created, current, previous, nonce, client =
  struct.unpack('>I6I4I6I6c16c16c16c16', family)
local time = call('TIME')
local now = time[1] * 1000 + (time[2] - time[2] % 1000) / 1000
local lapse = created + ARGV[8]
if ends <= now or lapse <= now then
  call('HDEL', key, name)
  return 0
end
local function tail() return string.sub(family, 103) end
if generation == 4294967295 then
  return nonce == ARGV[4] and { tail() } or 0
end

local number = ARGV[2] + 0
if number == generation then
  if ARGV[3] ~= current then return 0 end
elseif number < generation then
  if number == generation - 1 and ARGV[3] ~= previous then return 0 end
  -- A clock that was set back makes no grace where there is none.
  local again = nonce == ARGV[4] or math.max(now - rotated, 0) < ARGV[9] + 0
  if number < generation - 1 or not again then
    local tombstone = string.sub(family, 1, 6) .. struct.pack('>I4', 4294967295)
      .. string.sub(family, 11, 54) .. ARGV[4] .. string.sub(family, 71)
    -- A server at its memory limit only removes.
    if type(redis.pcall('HSET', key, name, tombstone)) == 'table' then call('HDEL', key, name) end
    return { tail() }
  end
else
  return 0
end

if client ~= ARGV[6] then return -1 end
if ARGV[10] then
  local scope = string.match(family, '^[^\n]*', 103)
  for i = 10, #ARGV do
    if not string.find(scope, ARGV[i], 1, true) then return -2 end
  end
end
if number == generation then
  nonce, ends = ARGV[4], now + ARGV[7]
  if lapse < ends then ends = lapse end
  call('HSET', key, name,
    struct.pack('>I6I4I6I6', ends, generation + 1, now, created)
      .. ARGV[5] .. current .. nonce .. string.sub(family, 71))
  call('PEXPIREAT', key, ends, 'GT')
end
return { nonce, ends - now, tail() }
