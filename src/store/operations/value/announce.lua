-- Announces a load, unless there is a value after all.
-- KEYS[1]  the value, KEYS[2]  its lease
-- ARGV[1]  a fresh generation, ARGV[2]  ms until the lease lapses
-- ARGV[3]  1 to announce it whatever is stored, because that cannot be read
-- Returns {value}, or {nil, the generation that the fill has to name}.
if ARGV[3] == '0' then
  local value = redis.call('GET', KEYS[1])
  if value then return { value } end
end
local generation = redis.call('GET', KEYS[2])
if not generation then
  redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
  return { false, ARGV[1] }
end
if redis.call('PTTL', KEYS[2]) < tonumber(ARGV[2]) then
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
end
return { false, generation }
