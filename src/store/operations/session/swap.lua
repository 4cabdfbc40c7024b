-- Compare-and-set of one field.
-- ARGV  8 field, 9 new value, or '' to remove it (no value is empty), 10 the value expected; not
--       given: none
-- Answers 1; or what is there instead, '=' and a value or '-' for none.
local field, new = ARGV[8], ARGV[9]
local old = call('HGET', key, field)
if old ~= (ARGV[10] or false) then return old and '=' .. old or '-' end
local set = new ~= '' and {field, new} or {}
local added = (set[1] and 1 or 0) - (old and 1 or 0)
local size = before + added * (#field - 2) + #new - (old and #old or 0)
if too_large(size, added) then return -2 end
-- First, since a server at its memory limit takes what follows it then.
if not set[1] then call('HDEL', key, field) end
if size ~= before or due then
  local noted = kind .. string.sub(meta, 2, 39) .. times .. string.format('%x', size)
  call('HSET', key, 'm', noted, unpack(set))
elseif set[1] then
  call('HSET', key, field, new)
end
if due then call('PEXPIREAT', key, now + ttl) end
return 1
