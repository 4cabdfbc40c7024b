-- Stores a variant, or a new head for the body that is there, unless the primary key was
-- invalidated since the fill began: then its generation is gone or another one.
-- KEYS[1]  the primary key's hash
-- ARGV[1]  generation, ARGV[2]  variant, ARGV[3]  ms to keep it, ARGV[4]  Vary names
-- ARGV[5]  most variants, ARGV[6]  most Vary lists, ARGV[7]  head, ARGV[8]  body (absent: kept)
-- Fields: g generation, n fills under way, v Vary lists (lines, newest first), i index (per variant, oldest first:
-- "variant end-in-ms" lines), h<variant> head, b<variant> body.
-- Returns 1 if stored, 0 if not.
local key, variant, names, head, body = KEYS[1], ARGV[2], ARGV[4], ARGV[7], ARGV[8]
local known = redis.call('HMGET', key, 'g', 'v', 'i')
if known[1] ~= ARGV[1] then return 0 end
redis.call('HINCRBY', key, 'n', -1)
if not body and redis.call('HEXISTS', key, 'b' .. variant) == 0 then return 0 end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local expiry = now + ARGV[3]

local entries, latest = {}, expiry
local function drop(other)
  redis.call('HDEL', key, 'h' .. other, 'b' .. other)
end
for other, stop in string.gmatch(known[3] or '', '(%x+) (%d+)\n') do
  stop = tonumber(stop)
  if other ~= variant then
    if stop <= now then
      drop(other)
    else
      entries[#entries + 1] = { other, stop }
    end
  end
end
while #entries >= tonumber(ARGV[5]) do
  drop(table.remove(entries, 1)[1])
end
entries[#entries + 1] = { variant, expiry }
local index = {}
for i, entry in ipairs(entries) do
  index[i] = string.format('%s %.0f\n', entry[1], entry[2])
  latest = math.max(latest, entry[2])
end

local lists, count = { names }, 1
for list in string.gmatch(known[2] or '', '([^\n]*)\n') do
  if list ~= names and count < tonumber(ARGV[6]) then
    count = count + 1
    lists[count] = list
  end
end
redis.call('HSET', key, 'v', table.concat(lists, '\n') .. '\n', 'i', table.concat(index), 'h' .. variant, head)
if body then redis.call('HSET', key, 'b' .. variant, body) end
redis.call('PEXPIREAT', key, string.format('%.0f', latest))
return 1
