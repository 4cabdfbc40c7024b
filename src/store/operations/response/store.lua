-- Stores a variant, or a new head for the body that is there, unless the primary key was
-- invalidated since the fill began: then its generation is gone or another one.
-- ARGV[1]  generation, ARGV[2]  variant, ARGV[3]  its new version, ARGV[4]  the version that was seen, or ''
-- ARGV[5]  'seen': only over that version, 'newer': over that and over what is not newer
-- ARGV[6]  date, ARGV[7]  time: which of two responses is newer, ARGV[8]  ms to keep it
-- ARGV[9]  Vary names, ARGV[10]  most Vary lists, ARGV[11]  most variants
-- ARGV[12]  head, ARGV[13]  body (absent: kept)
-- Returns 1 if stored, 0 if not.
local generation, name, version, seen, rule = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local date, came = tonumber(ARGV[6]), tonumber(ARGV[7])
local names, head, body = ARGV[9], ARGV[12], ARGV[13]

local known = read('g', 'n', 'l', 'v', 'i')
if known[1] ~= generation then return 0 end
local live, ended = variants(known[5])

local current, others = nil, {}
for _, variant in ipairs(live) do
  if variant.name == name then current = variant else others[#others + 1] = variant end
end
local lists, is_listed = { names }, false
for list in string.gmatch(known[4] or '', '([^\n]*)\n') do
  -- Field names and commas; anything else is not ours.
  local valid = not string.find(list, "[^%w!#$%%&'*+.^_`|~,-]")
  if list == names then
    is_listed = true
  elseif valid and #lists < tonumber(ARGV[10]) then
    lists[#lists + 1] = list
  end
end
-- One that is not whole is not there, and neither is one that no lookup finds by its list.
if current and not is_listed then current = nil end
if current and redis.call('HEXISTS', key, 'h' .. name) + redis.call('HEXISTS', key, 'b' .. name) < 2 then
  current = nil
end
-- Sent a second time, because the reply was lost.
if current and current.version == version then return 1 end

local allowed = current and current.version == seen
if rule == 'newer' and not allowed then
  allowed = not current or date > current.date or (date == current.date and came >= current.came)
end
allowed = allowed and (body or current)

-- What is stored goes first, what it takes the place of last: a server at its memory limit refuses
-- the first write, and would let any write through after one that only removes.
local removed = {}
for n, variant in ipairs(ended) do removed[n] = variant.name end
live = others
if allowed then
  while #others >= tonumber(ARGV[11]) do removed[#removed + 1] = table.remove(others, 1).name end
  live[#live + 1] = { name = name, stop = now + ARGV[8], version = version, date = date, came = came }
  local index = {}
  for n, variant in ipairs(live) do
    index[n] = string.format('%s %.0f %s %.0f %.0f\n',
      variant.name, variant.stop, variant.version, variant.date, variant.came)
  end
  local fields = { 'v', table.concat(lists, '\n') .. '\n', 'i', table.concat(index), 'h' .. name, version .. head }
  if body then
    fields[#fields + 1] = 'b' .. name
    fields[#fields + 1] = body
  end
  redis.call('HSET', key, unpack(fields))
elseif current then
  live[#live + 1] = current
else
  removed[#removed + 1] = name
end
local lapse = settle(known[2], known[3])
for _, other in ipairs(removed) do redis.call('HDEL', key, 'h' .. other, 'b' .. other) end
expire(live, lapse)
return allowed and 1 or 0
