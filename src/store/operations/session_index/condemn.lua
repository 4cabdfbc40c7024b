-- Marks sessions of a user that are to be ended.
-- KEYS  1 the index
-- ARGV  1 'one' for the session whose lineage is ARGV[2], 'others' for all but that, 'all'
-- Answers lineages and slot tags by turns of those that are marked now, and of all that were
-- before unless it is about one.
local call = redis.call
local key, answer = KEYS[1], {}
local all
if ARGV[1] == 'one' then
  local entry = call('HGET', key, ARGV[2])
  all = entry and {ARGV[2], entry} or {}
else
  all = call('HGETALL', key)
end
-- A server at its memory limit takes what follows a first write that only removes, and a
-- revocation must not fail there. The marks take no more room than what they replace.
call('HDEL', key, '')
for i = 1, #all, 2 do
  local entry = all[i + 1]
  local marked = string.sub(entry, 1, 1) == '-'
  if marked or ARGV[1] ~= 'others' or all[i] ~= ARGV[2] then
    if not marked then call('HSET', key, all[i], '-' .. string.sub(entry, 2)) end
    answer[#answer + 1] = all[i]
    answer[#answer + 1] = string.sub(entry, 2, 5)
  end
end
return answer
