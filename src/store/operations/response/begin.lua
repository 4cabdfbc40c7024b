-- Announces a fill: whoever fetches a response for this primary key says so first.
-- ARGV[1]  a fresh generation, ARGV[2]  ms until the announcement lapses
-- Returns the generation that a store of the response has to name.
local known = read('g', 'n', 'l')
local fills, lapse = leases(known[2], known[3])
local generation = known[1] or ARGV[1]
lapse = math.max(lapse, now + ARGV[2])
redis.call('HSET', key, 'g', generation, 'n', fills + 1, 'l', string.format('%.0f', lapse))
-- Without a time to live it was made by somebody else just now.
if redis.call('PTTL', key) < lapse - now then
  redis.call('PEXPIREAT', key, string.format('%.0f', lapse))
end
return generation
