if not meta then return 0 end
if type(meta) == 'table' then
  if string.sub(meta.err, 1, 9) == 'WRONGTYPE' then return -1 end
  return meta
end
local kind = string.sub(meta, 1, 1)
if kind == '>' or kind == 'x' then return meta end
local before = tonumber(string.sub(meta, 61), 16)
if kind ~= '=' and kind ~= '?' or not before then return -1 end
local lineage = string.sub(meta, 2, 17)
if ARGV[1] ~= '' and lineage ~= ARGV[1] and not (KEYS[3] and lineage == ARGV[#ARGV]) then return 0 end
if kind == '?' and presented then return '?' .. (call('HGET', key, 'p') or '') end

-- The timeouts of a session of which this lifetime is stored, or false (see rules.rs).
local function timeouts(life)
  local idle, absolute = ARGV[4] + 0, ARGV[5] + 0
  local stored = life and tonumber(string.sub(life, 2, 11), 16)
  if not stored then return idle, absolute end
  if string.sub(life, 1, 1) == '-' then return idle, stored < absolute and stored or absolute end
  return tonumber(string.sub(life, 12, 21), 16) or idle, stored
end

-- The server's time, what is left of the absolute timeout, and what a touch that is due writes.
local now, life, created, left, due, ttl
local times = string.sub(meta, 40, 60)
if ARGV[3] ~= '' or KEYS[2] then
  local time = call('TIME')
  now = time[1] * 1000 + (time[2] - time[2] % 1000) / 1000
  created = tonumber(string.sub(meta, 18, 28), 16)
  local touched = tonumber(string.sub(meta, 40, 50), 16)
  if not (created and touched) then return -1 end
  life = call('HGET', key, 'l')
  local idle, absolute = timeouts(life)
  left = created + absolute - now
  if left <= 0 or now - touched >= idle then return 0 end
  due = ARGV[3] ~= '' and now - touched >= ARGV[3] * idle
  if due then
    ttl = left < idle and left or idle
    times = string.format('%011x%010x', now, ttl)
  end
end
