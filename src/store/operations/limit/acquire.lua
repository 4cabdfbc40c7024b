-- Takes a request's cost of all limits of one subject, or of none. The same arithmetic as in
-- algorithm.rs, which says what the numbers are; all are whole and below 2^53.
--
-- KEYS[i]  the state of limit i: a hash of ends, rest and of
-- ARGV     of each limit its kind, its window in microseconds, and
--            whole  GCRA with one part in a microsecond: the charge in microseconds
--            parts  GCRA: the charge in microseconds, in parts beyond them, the parts in one
--            fixed  fixed window: the cost, the quota
--          Charges of nothing look and write nothing.
-- Answers what was in use of each limit before the request: left (whole), or left and rest.

local call, pcall = redis.call, redis.pcall
local time = call('TIME')
local now = time[1] * 1000000 + time[2]

-- What a limit holds, and how its state is to be written: `renew[i]` is true where the key needs
-- an expiry with it, and 'cut' where the clock stepped back. Unless a cut is stored, it slides
-- along with the clock, so that is done for denied requests too.
local levels, renew, cut, admitted, charged, at, to = {}, {}, false, true, false, 1, 1
for i = 1, #KEYS do
  local kind, window, charge = ARGV[at], ARGV[at + 1] + 0, ARGV[at + 2] + 0
  if charge > 0 then charged = true end
  if kind == 'whole' then
    local state = pcall('HGET', KEYS[i], 'ends')
    if state and state.err then
      if string.sub(state.err, 1, 9) ~= 'WRONGTYPE' then return state end
      -- Another type of value: none of ours.
      call('DEL', KEYS[i])
      state = false
    end
    local left = state and state - now or 0
    if left <= 0 then
      left, renew[i] = 0, true
    elseif left > window then
      left, renew[i], cut = window, 'cut', true
    end
    if left + charge > window then admitted = false end
    levels[to] = left
    at, to = at + 3, to + 1
  else
    local state = pcall('HMGET', KEYS[i], 'ends', 'rest', 'of')
    if state.err then
      if string.sub(state.err, 1, 9) ~= 'WRONGTYPE' then return state end
      call('DEL', KEYS[i])
      state = {}
    end
    local left, rest, of = (state[1] or 0) - now, (state[2] or 0) + 0, state[3] or '1'
    if kind == 'fixed' then
      local quota = ARGV[at + 3]
      if left <= 0 then
        left, rest, renew[i] = 0, 0, true
      else
        -- Of another quota: the same fraction of this one.
        if of ~= quota then rest, renew[i] = math.ceil(rest * quota / of), true end
        if left > window then left, renew[i], cut = window, 'cut', true end
      end
      if rest + charge > quota + 0 then admitted = false end
      at = at + 4
    else
      local part, parts = ARGV[at + 3] + 0, ARGV[at + 4] + 0
      if part > 0 then charged = true end
      -- Of another quota: the next whole microsecond.
      if rest > 0 and of ~= ARGV[at + 4] then left, rest = left + 1, 0 end
      if left < 0 or left == 0 and rest == 0 then
        left, rest, renew[i] = 0, 0, true
      elseif left > window then
        left, rest, renew[i], cut = window, 0, 'cut', true
      end
      local after, beyond = left + charge, rest + part
      if beyond >= parts then after, beyond = after + 1, beyond - parts end
      if after > window or after == window and beyond > 0 then admitted = false end
      at = at + 5
    end
    levels[to], levels[to + 1] = left, rest
    to = to + 2
  end
end
if not charged or not admitted and not cut then return levels end

-- Whole milliseconds, up, and one more: Redis counts from its clock's last whole one.
local function expire(key, micros)
  local ttl = micros / 1000
  call('PEXPIRE', key, ttl - ttl % 1 + 2)
end

at, to = 1, 1
for i = 1, #KEYS do
  local key, kind, window, charge = KEYS[i], ARGV[at], ARGV[at + 1] + 0, ARGV[at + 2]
  local left, renews = levels[to], renew[i]
  if not admitted then charge = '0' end
  -- A key of GCRA outlives every moment of the eighth of a window in which its state lay when
  -- its expiry was set, so within that the expiry may stay.
  local eighth = window / 8
  if kind == 'whole' then
    if not admitted and renews ~= 'cut' then
      -- As it was.
    elseif not renews and (now + left) % eighth + charge < eighth then
      call('HINCRBY', key, 'ends', charge)
    else
      local after = left + charge
      call('HSET', key, 'ends', now + after)
      expire(key, after + eighth)
    end
    at, to = at + 3, to + 1
  elseif kind == 'fixed' then
    if not admitted and renews ~= 'cut' then
      -- As it was.
    elseif not renews then
      call('HINCRBY', key, 'rest', charge)
    else
      if left == 0 then left = window end
      call('HSET', key, 'ends', now + left, 'rest', levels[to + 1] + charge, 'of', ARGV[at + 3])
      expire(key, left)
    end
    at, to = at + 4, to + 2
  else
    if admitted or renews == 'cut' then
      local after, rest, parts = left + charge, levels[to + 1], ARGV[at + 4] + 0
      if admitted then rest = rest + ARGV[at + 3] end
      if rest >= parts then after, rest = after + 1, rest - parts end
      call('HSET', key, 'ends', now + after, 'rest', rest, 'of', ARGV[at + 4])
      if renews or (now + left) % eighth + after - left >= eighth then
        expire(key, after + eighth)
      end
    end
    at, to = at + 5, to + 2
  end
end
return levels
