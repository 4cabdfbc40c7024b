-- ARGV  6 the most bytes of data, 7 the most keys
-- Whether the session would grow over its bounds with this size and so many keys more.
local function too_large(size, added)
  if size > before and size > ARGV[6] + 0 then return true end
  if added <= 0 then return false end
  local keys = call('HLEN', key) - 1 + added
  if keys <= ARGV[7] + 0 then return false end
  if kind == '?' then keys = keys - 1 end
  return keys - call('HEXISTS', key, 'u') - call('HEXISTS', key, 'l') > ARGV[7] + 0
end
