-- What every session script starts with.
--
-- A session is a hash: `m:…` is metadata, `d:…` the application's data. Under an id that was
-- renewed there is for a while a hash with `m:moved` alone, the hash of the new id.
--
-- ARGV: 1 idle timeout, 2 absolute timeout, 3 time between touches (all in µs),
--       4 the lineage that the caller knows, or ''.
-- Replies: {0} there is no session, {1, id hash} it has moved, {2, …} the answer, {3} corrupt.
local idle, absolute, touch_every = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local stamp = string.format('%.0f', now)

-- The session's metadata; or nil and the reply that says why there is none.
local function reach(key)
  local meta = redis.pcall('HMGET', key, 'm:moved', 'm:lineage', 'm:created', 'm:issued', 'm:touched')
  if meta.err then
    if string.sub(meta.err, 1, 9) == 'WRONGTYPE' then return nil, {3} end
    return nil, meta
  end
  if meta[1] then return nil, {1, meta[1]} end
  local lineage, created, issued, touched = meta[2], tonumber(meta[3]), tonumber(meta[4]), tonumber(meta[5])
  if not (lineage and created and issued and touched) then
    return nil, {redis.call('EXISTS', key) == 1 and 3 or 0}
  end
  if ARGV[4] ~= '' and ARGV[4] ~= lineage then return nil, {0} end
  local remaining = created + absolute - now
  if remaining <= 0 or now - touched >= idle then return nil, {0} end
  return {lineage = lineage, issued = issued, touched = touched, remaining = remaining}
end

local function expire(key, micros)
  redis.call('PEXPIRE', key, math.max(1, math.floor(micros / 1000)))
end

-- Notes activity, but not more often than `touch_every`.
local function touch(key, session)
  if now - session.touched < touch_every then return end
  redis.call('HSET', key, 'm:touched', stamp)
  expire(key, math.min(idle, session.remaining))
end
