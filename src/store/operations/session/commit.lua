-- Applies a request's changes, and gives the session a new id.
-- KEYS  2 (only to renew or to log in) the key of the new id, 3 (only of a session that has a user
--       then) its place, 4 (only where another user logs in) the place of the lineage before
-- ARGV  8 '*' to drop all data first, or ''
--       9 the lifetime that the session gets, or '' where it stays (with one a touch may be due)
--       10 how many arguments from 11 on are fields and values to set; after them come fields to
--       remove, and with KEYS[2] five more: the user who logs in or '', the hashes of this id and
--       of the new one, the grace (ms), and the lineage that the session gets when it becomes
--       another user's
-- Answers 1; or, when the new id leads to the session, '=' ('+' when another login has brought it
-- there), what is left of the absolute timeout (ms), and the mark of a lifetime of its own.
local last = #ARGV
local renews, joins, changed, stored, user, grace
local given = ARGV[9] ~= '' and ARGV[9]
if KEYS[2] then
  last = last - 5
  user, grace = ARGV[last + 1], ARGV[last + 4] + 0
  if not resent then
    if user ~= '' then
      stored = call('HGET', key, 'u')
      changed = stored ~= user
      if changed and ARGV[2] ~= 'x' and KEYS[3] and call('GET', KEYS[3]) == '!' then return 0 end
    end
    if ARGV[2] == 'x' then
      if changed then return -3 end
      -- It has the lifetime of the login that has brought it there.
      joins, given = true, false
    else
      renews = changed or presented
    end
  end
end

local clears = ARGV[8] == '*' or changed and stored
local size, added = before, 0
local names
if clears then
  size, names = 0, call('HKEYS', key)
  for i = 1, #names do
    if string.sub(names[i], 1, 2) == 'd:' then added = added - 1 end
  end
end
local set = 10 + ARGV[10]
for i = 11, set, 2 do
  local had = clears and 0 or call('HSTRLEN', key, ARGV[i])
  if had == 0 then size, added = size + #ARGV[i] - 2, added + 1 end
  size = size + #ARGV[i + 1] - had
end
for i = set + 1, last do
  local had = clears and 0 or call('HSTRLEN', key, ARGV[i])
  if had > 0 then size, added = size - #ARGV[i] + 2 - had, added - 1 end
end
if too_large(size, added) then return -2 end
if changed or given then
  life = given
  local idle, absolute = timeouts(life)
  if changed then created = now end
  left = created + absolute - now
  if left < 1 then left = 1 end
  due, ttl = true, left < idle and left or idle
  times = string.format('%011x%010x', now, ttl)
end

local function remove()
  if clears then
    local stays = {}
    for i = 11, set, 2 do stays[ARGV[i]] = true end
    for i = 1, #names do
      if string.sub(names[i], 1, 2) == 'd:' and not stays[names[i]] then call('HDEL', key, names[i]) end
    end
  end
  for i = set + 1, last do call('HDEL', key, ARGV[i]) end
end
-- A server at its memory limit takes a script if its first write only removes: that comes first
-- where the session gets smaller, and last where it grows.
if size <= before then remove() end
if size ~= before or due or renews then
  local new, issued = kind, string.sub(meta, 29, 39)
  if renews then
    new = changed and '=' or '?'
    issued = string.format('%011x', now)
  end
  local named = changed and ARGV[#ARGV] or string.sub(meta, 2, 17)
  local born = changed and string.format('%011x', created) or string.sub(meta, 18, 28)
  local noted = new .. named .. born .. issued .. times .. string.format('%x', size)
  call('HSET', key, 'm', noted, unpack(ARGV, 11, set))
elseif set > 10 then
  call('HSET', key, unpack(ARGV, 11, set))
end
if given then
  call('HSET', key, 'l', given)
elseif changed then
  call('HDEL', key, 'l')
end
if size > before then remove() end
if due then call('PEXPIREAT', key, now + ttl) end
if changed then call('HSET', key, 'u', user) end

if renews then
  local mark, life = '>', left
  if changed then
    mark, life = 'x', grace < left and grace or left
    if kind == '?' then call('HDEL', key, 'p') end
  else
    call('HSET', key, 'p', ARGV[last + 2])
  end
  call('RENAME', key, KEYS[2])
  if KEYS[3] then call('SET', KEYS[3], ARGV[last + 3], 'PX', left) end
  if KEYS[4] and changed then call('UNLINK', KEYS[4]) end
  if life > 0 then
    call('HSET', key, 'm', mark .. ARGV[last + 3])
    call('PEXPIREAT', key, now + life)
  end
elseif joins then
  call('HSET', KEYS[2], 'm', '>' .. ARGV[last + 2])
  call('PEXPIREAT', KEYS[2], now + left)
  return '+' .. string.format('%.0f', left) .. string.match(life or '', '^[ps]?')
elseif not resent then
  if KEYS[3] then call('SET', KEYS[3], ARGV[last + 2], 'PX', left) end
  return 1
end
return '=' .. string.format('%.0f', left) .. string.match(life or '', '^[ps]?')
