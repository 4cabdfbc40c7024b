-- One GCRA limit of one subject whose units are whole microseconds, as those of most limits
-- are: acquire.lua for this case, with the same state, in two thirds of the time.
--
-- KEYS[1]  a hash; ends: the theoretical arrival time in microseconds
-- ARGV     the microseconds that the cost takes of the window (0 looks and writes nothing),
--          the window
-- Answers the microseconds that were in use before the request, which is admitted if they and
-- its own are no more than the window.

local call, key = redis.call, KEYS[1]
local time = call('TIME')
local now, charge, window = time[1] * 1000000 + time[2], ARGV[1] + 0, ARGV[2] + 0

local state = redis.pcall('HGET', key, 'ends')
if state and state.err then
  if string.sub(state.err, 1, 9) ~= 'WRONGTYPE' then return state end
  -- Another type of value: none of ours.
  call('DEL', key)
  state = false
end
local ends, left, cut = state and tonumber(state), 0, false
if ends then
  left = ends - now
  if left > window then
    left, ends, cut = window, nil, true
  elseif left <= 0 then
    left, ends = 0, nil
  end
end

local after = left + charge
if after > window then
  -- Unless the cut is stored, it slides along with the clock.
  if not cut or charge == 0 then return left end
  after = window
elseif charge == 0 then
  return left
end

-- A key outlives every moment of the eighth of a window in which its state lay when its expiry
-- was set, so within that the expiry may stay.
local eighth = window / 8
if ends and ends % eighth + charge < eighth then
  call('HINCRBY', key, 'ends', ARGV[1])
else
  call('HSET', key, 'ends', now + after)
  -- Whole milliseconds, up, and one more: Redis counts from its clock's last whole one.
  local ttl = (after + eighth) / 1000
  call('PEXPIRE', key, ttl - ttl % 1 + 2)
end
return left
