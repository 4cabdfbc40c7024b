-- Compare-and-set of one field.
-- ARGV  8 field, 9 new value, 10 the value expected; not given: none
-- Answers 1; or what is there instead, '=' and a value or '-' for none.
local field, new = ARGV[8], ARGV[9]
local old = call('HGET', key, field)
if old ~= (ARGV[10] or false) then return old and '=' .. old or '-' end
local size = before + #new + (old and -#old or #field - 2)
if too_large(size, old and 0 or 1) then return -2 end
if size ~= before or due then
  local noted = kind .. string.sub(meta, 2, 39) .. times .. string.format('%x', size)
  call('HSET', key, 'm', noted, field, new)
else
  call('HSET', key, field, new)
end
if due then call('PEXPIREAT', key, now + ttl) end
return 1
