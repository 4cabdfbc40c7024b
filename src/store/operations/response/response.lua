-- What every script on the hash of a primary key starts with.
-- KEYS[1]  the primary key's hash. Its fields:
--   g  the generation
--   n  fills under way, l  when the last of their leases ends, in ms
--   v  lists of Vary names, a line each, newest first
--   i  the index: a line "variant end version date time" for each variant, oldest first; `end` in ms,
--      `date` and `time` tell which of two responses is newer
--   h<variant>  the version and the head, b<variant>  the body
local key = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- The named fields. A key of another type is nobody's: it makes room.
local function read(...)
  local fields = redis.pcall('HMGET', key, ...)
  if fields.err and string.sub(fields.err, 1, 9) == 'WRONGTYPE' then
    redis.call('UNLINK', key)
    return {}
  end
  if fields.err then error(fields.err, 0) end
  return fields
end

-- How many fills are under way and when the last of their leases ends. Those that lapsed went
-- with their process.
local function leases(fills, lapse)
  fills, lapse = tonumber(fills or 0) or 0, tonumber(lapse or 0) or 0
  if lapse <= now or fills <= 0 then return 0, 0 end
  return fills, lapse
end

-- Notes what fills are under way after one of them has ended, and answers the end of the last lease.
local function settle(fills, lapse)
  fills, lapse = leases(fills, lapse)
  if fills <= 1 then
    redis.call('HDEL', key, 'n', 'l')
    return 0
  end
  redis.call('HSET', key, 'n', fills - 1)
  return lapse
end

-- The variants of an index that have not ended.
local function variants(index)
  local live, ended = {}, {}
  for name, stop, version, date, came in string.gmatch(index or '', '(%x+) (%d+) (%x+) (%d+) (%d+)\n') do
    local to = tonumber(stop) > now and live or ended
    to[#to + 1] = {
      name = name, stop = tonumber(stop), version = version, date = tonumber(date), came = tonumber(came)
    }
  end
  return live, ended
end

-- Lets the key live as long as its last variant and the last lease.
local function expire(live, lapse)
  local latest = lapse
  for _, variant in ipairs(live) do latest = math.max(latest, variant.stop) end
  if latest <= now then
    redis.call('UNLINK', key)
  else
    redis.call('PEXPIREAT', key, string.format('%.0f', latest))
  end
end
