-- Notes a session in the index of the user who logs in.
-- KEYS  1 the index
-- ARGV  1 the session's lineage, 2 its slot tag, 3 the most sessions of the user, 4 the absolute
--       timeout (ms), 5 '=' and the device, or '' where its user does not log in now, only its
--       timeout is another, 6 '1' to mark the oldest where there are too many, or ''
-- Answers, each with lineages and slot tags by turns: 1 it is noted, and those are to be ended; 0
-- there are too many, which these are; -1 it is itself to be ended.
local call = redis.call
local key, lineage, most = KEYS[1], ARGV[1], ARGV[3] + 0
local time = call('TIME')
local now = time[1] * 1000 + (time[2] - time[2] % 1000) / 1000
local stamp = string.format('%011x', now)
local ends = string.format('%011x', now + ARGV[4])
local known = call('HGET', key, lineage)
if known then
  if string.sub(known, 1, 1) == '-' then return {-1} end
  local before = string.sub(known, 17, 27)
  if before > ends then ends = before end
end
local bound, device = stamp, string.sub(ARGV[5], 2)
if known and ARGV[5] == '' then
  bound, device = string.sub(known, 6, 16), string.sub(known, 28)
end

local live, ended, answer = {}, {}, {1}
-- Sent again after a lost reply it finds its own session, and those that it has marked then.
if call('HLEN', key) >= most then
  local all = call('HGETALL', key)
  for i = 1, #all, 2 do
    local entry = all[i + 1]
    if all[i] == lineage then
      -- It stays.
    elseif string.sub(entry, 17, 27) <= stamp then
      ended[#ended + 1] = all[i]
    elseif string.sub(entry, 1, 1) == '-' then
      answer[#answer + 1] = all[i]
      answer[#answer + 1] = string.sub(entry, 2, 5)
    else
      live[#live + 1] = {all[i], entry, string.sub(entry, 6, 16)}
    end
  end
  local excess = known and 0 or #live - most + 1
  if excess > 0 then
    if ARGV[6] == '' then
      answer = {0}
      for i = 1, #live do
        answer[#answer + 1] = live[i][1]
        answer[#answer + 1] = string.sub(live[i][2], 2, 5)
      end
      return answer
    end
    table.sort(live, function(a, b) return a[3] < b[3] end)
    for i = 1, excess do
      call('HSET', key, live[i][1], '-' .. string.sub(live[i][2], 2))
      answer[#answer + 1] = live[i][1]
      answer[#answer + 1] = string.sub(live[i][2], 2, 5)
    end
  end
end

call('HSET', key, lineage, '=' .. ARGV[2] .. bound .. ends .. device)
for i = 1, #ended do call('HDEL', key, ended[i]) end
if call('PTTL', key) < ARGV[4] + 0 then call('PEXPIREAT', key, now + ARGV[4]) end
return answer
