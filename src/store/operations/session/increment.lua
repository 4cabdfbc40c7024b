-- Adds to a number of a session; what is no integer counts as absent.
-- ARGV  8 field, 9 what to add
-- Answers '=' and the sum (a Lua number would round it); -4 when it would overflow.
local field = ARGV[8]
local old = call('HGET', key, field)
if not old and too_large(before, 1) then return -2 end
local sum = redis.pcall('HINCRBY', key, field, ARGV[9])
if type(sum) == 'table' then
  if string.find(sum.err, 'overflow', 1, true) then return -4 end
  if not string.find(sum.err, 'not an integer', 1, true) then return sum end
  call('HSET', key, field, ARGV[9])
end
local new = call('HGET', key, field)
local size = before + #new + (old and -#old or #field - 2)
if too_large(size, 0) then
  if old then call('HSET', key, field, old) else call('HDEL', key, field) end
  return -2
end
if size ~= before or due then
  call('HSET', key, 'm', kind .. string.sub(meta, 2, 39) .. times .. string.format('%x', size))
end
if due then call('PEXPIREAT', key, now + ttl) end
return '=' .. new
