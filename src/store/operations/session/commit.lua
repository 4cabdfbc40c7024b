-- Applies a request's changes to a session that still exists, and renews its id.
-- KEYS: 1 the session, 2 (only for a renewal) its key under the new id.
-- ARGV: 5 '1' to drop all data first, 6 for how long the old id leads to the new one (µs),
--       7 hash of the new id or '', 8 number of fields to set, 9… pairs of field and value,
--       then the fields to remove.
-- Answer: the time until the absolute timeout (µs).
local key = KEYS[1]
local session, none = reach(key)
if not session and KEYS[2] then
  -- Sent again after a lost reply: the first time has already renewed the id.
  key = KEYS[2]
  session = reach(key)
end
if not session then return none end

if ARGV[5] == '1' then
  for _, field in ipairs(redis.call('HKEYS', key)) do
    if string.sub(field, 1, 2) == 'd:' then redis.call('HDEL', key, field) end
  end
end
local removes = 9 + 2 * ARGV[8]
for i = 9, removes - 1, 2 do redis.call('HSET', key, ARGV[i], ARGV[i + 1]) end
for i = removes, #ARGV do redis.call('HDEL', key, ARGV[i]) end

if KEYS[2] and key == KEYS[1] then
  redis.call('HSET', key, 'm:issued', stamp)
  redis.call('RENAME', key, KEYS[2])
  key = KEYS[2]
  local grace = tonumber(ARGV[6])
  if grace > 0 then
    redis.call('HSET', KEYS[1], 'm:moved', ARGV[7])
    expire(KEYS[1], math.min(grace, session.remaining))
  end
end
touch(key, session)
return {2, session.remaining}
