-- Takes a fill's announcement back. The last one takes the key along where nothing is stored.
-- ARGV[1]  the generation
local known = read('g', 'n', 'l', 'i')
if known[1] == ARGV[1] then
  local live = variants(known[4])
  expire(live, settle(known[2], known[3]))
end
return redis.status_reply('OK')
