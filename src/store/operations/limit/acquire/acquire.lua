-- Takes a request's cost of all limits of its subjects, or of none. The same arithmetic as in
-- algorithm/, which says what the numbers are; all are whole and below 2^53.
--
-- KEYS[i]  the state of limit i: a hash, of concurrency a sorted set; of each subject last that of
--          its ban
-- ARGV     of each limit its kind, its window in microseconds, and
--            whole    GCRA with one part in a microsecond: the charge in microseconds
--            parts    GCRA: the charge in microseconds, in parts beyond them, the parts in one
--            fixed    fixed window: the cost, the quota
--            sliding  sliding window: the cost, the quota, the width of a group
--            places   concurrency: the places to take, the quota, who takes them
--            ban      1 where a denial is to be counted, 2 where it is not, 0 for a look; how many
--                     of them in the window bring a ban, the length of the first ban, that of the
--                     longest, which key is the first of its subject
--          Charges of nothing look and write nothing. At the end 'mark' for a reservation.
-- Answers what was in use of each limit before the request: left (whole); left and rest (parts,
-- fixed); left, units, next, wait (sliding); places; left, denials, bans (ban). To a reservation
-- that is admitted also the time, and of each limit the time at which its state began.

local call, pcall = redis.call, redis.pcall
local time = call('TIME')
local now = time[1] * 1000000 + time[2]

-- What a limit holds, and how its state is to be written: `renew[i]` is true where the key needs
-- an expiry with it, and 'cut' where the clock stepped back. Unless a cut is stored, it slides
-- along with the clock, so that is done for denied requests too. `logs[i]` is the log of a
-- sliding window without what has left it.
local levels, renew, cut, admitted, charged, at, to = {}, {}, false, true, false, 1, 1
local logs, bans = nil, nil
-- The last limit that is violated: a ban counts the violations of its own subject.
local violated = 0

-- Another type of value is none of ours; any other error is the answer.
local function foreign(key, state)
  if string.sub(state.err, 1, 9) ~= 'WRONGTYPE' then return state end
  call('DEL', key)
end

for i = 1, #KEYS do
  local kind, window, charge = ARGV[at], ARGV[at + 1] + 0, ARGV[at + 2] + 0
  if charge > 0 then charged = true end
  if kind == 'whole' then
    local state = pcall('HGET', KEYS[i], 'ends')
    if state and state.err then
      if foreign(KEYS[i], state) then return state end
      state = false
    end
    local left = state and state - now or 0
    if left <= 0 then
      left, renew[i] = 0, true
    elseif left > window then
      left, renew[i], cut = window, 'cut', true
    end
    if left + charge > window then admitted, violated = false, i end
    levels[to] = left
    at, to = at + 3, to + 1
  elseif kind == 'fixed' or kind == 'parts' then
    local state = pcall('HMGET', KEYS[i], 'ends', 'rest', 'of')
    if state.err then
      if foreign(KEYS[i], state) then return state end
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
      if rest + charge > quota + 0 then admitted, violated = false, i end
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
      if after > window or after == window and beyond > 0 then admitted, violated = false, i end
      at = at + 5
    end
    levels[to], levels[to + 1] = left, rest
    to = to + 2
  elseif kind == 'sliding' then
    local state = pcall('HMGET', KEYS[i], 'log', 'used', 'of')
    if state.err then
      if foreign(KEYS[i], state) then return state end
      state = {}
    end
    local quota, log, used, from = ARGV[at + 3] + 0, state[1] or '', (state[2] or 0) + 0, 1
    while from < #log do
      local taken, units = struct.unpack('>I7I5', log, from)
      if taken + window > now then break end
      used, from = used - units, from + 12
    end
    if from > 1 then log = string.sub(log, from) end
    if log ~= '' and state[3] ~= ARGV[at + 3] then
      -- Of another quota: the same fraction of this one.
      local groups = {}
      used = 0
      for from = 1, #log, 12 do
        local taken, units = struct.unpack('>I7I5', log, from)
        units = math.ceil(units * quota / state[3])
        used, groups[#groups + 1] = used + units, struct.pack('>I7I5', taken, units)
      end
      log = table.concat(groups)
    end
    if log ~= '' and struct.unpack('>I7', log, #log - 11) > now then
      local behind, ahead = #log, 0
      while behind > 0 do
        local taken, units = struct.unpack('>I7I5', log, behind - 11)
        if taken <= now then break end
        behind, ahead = behind - 12, ahead + units
      end
      log = string.sub(log, 1, behind) .. struct.pack('>I7I5', now, ahead)
      renew[i], cut = 'cut', true
    end
    local left, next, wait = 0, 0, 0
    if log ~= '' then
      left = struct.unpack('>I7', log, #log - 11) + window - now
      next = struct.unpack('>I7', log) + window - now
    end
    local missing = used + charge - quota
    if missing > 0 and charge > 0 then
      admitted, violated = false, i
      if charge <= quota then
        for from = 1, #log, 12 do
          if missing <= 0 then break end
          local taken, units = struct.unpack('>I7I5', log, from)
          missing, wait = missing - units, taken + window - now
        end
      end
    end
    logs = logs or {}
    logs[i] = log
    levels[to], levels[to + 1], levels[to + 2], levels[to + 3] = left, used, next, wait
    at, to = at + 5, to + 4
  elseif kind == 'places' then
    local held = pcall('ZCOUNT', KEYS[i], '(' .. string.format('%.0f', now), '+inf')
    if type(held) == 'table' then
      if foreign(KEYS[i], held) then return held end
      held = 0
    end
    if held > 0 then
      -- Further away than any process asks for: the clock was set back.
      local latest = string.format('%.0f', now + window)
      for _, id in ipairs(call('ZRANGEBYSCORE', KEYS[i], '(' .. latest, '+inf')) do
        call('ZADD', KEYS[i], latest, id)
      end
    end
    if held >= ARGV[at + 3] + 0 and charge > 0 then admitted, violated = false, i end
    levels[to] = held
    at, to = at + 5, to + 1
  else
    local state = pcall('HMGET', KEYS[i], 'until', 'ends', 'denials', 'bans')
    if state.err then
      if foreign(KEYS[i], state) then return state end
      state = {}
    end
    local left, ends, denials, before =
      (state[1] or 0) - now, (state[2] or 0) + 0, (state[3] or 0) + 0, (state[4] or 0) + 0
    local longest = ARGV[at + 5] + 0
    local forgotten = ends
    if before > 0 then forgotten = math.max(left + now, ends) + longest end
    if forgotten <= now then left, ends, denials, before = 0, 0, 0, 0 end
    -- Further away than its length it is when the clock was set back.
    local doublings, stepped = math.min(math.max(before - 1, 0), 40), false
    local length = math.min((ARGV[at + 4] + 0) * 2 ^ doublings, longest)
    if left < 0 then left = 0 elseif left > length then left, stepped = length, true end
    if ends <= now or ends - now > window then denials = 0 end
    if left > 0 then
      admitted = false
      if stepped and ARGV[at + 2] ~= '0' then
        bans = bans or {}
        bans[#bans + 1] = { i, ends, denials, before, at, left }
      end
    elseif violated >= ARGV[at + 6] + 0 and ARGV[at + 2] == '1' then
      bans = bans or {}
      bans[#bans + 1] = { i, ends, denials, before, at, 0 }
    end
    levels[to], levels[to + 1], levels[to + 2] = left, denials, before
    at, to = at + 7, to + 3
  end
end
if not charged or not admitted and not cut and not bans then return levels end

-- Whole milliseconds, up, and one more: Redis counts from its clock's last whole one.
local function expire(key, micros)
  local ttl = micros / 1000
  call('PEXPIRE', key, ttl - ttl % 1 + 2)
end

for _, ban in ipairs(bans or {}) do
  local i, ends, denials, before, at, left = unpack(ban)
  local key, window, first, longest = KEYS[i], ARGV[at + 1] + 0, ARGV[at + 4] + 0, ARGV[at + 5] + 0
  if left > 0 then
    call('HSET', key, 'until', now + left)
    expire(key, left + longest)
  elseif denials + 1 >= ARGV[at + 3] + 0 then
    local length = math.min(first * 2 ^ math.min(before, 40), longest)
    call('HSET', key, 'until', now + length, 'ends', 0, 'denials', 0, 'bans', before + 1)
    expire(key, length + longest)
  else
    if denials == 0 then ends = now + window end
    call('HSET', key, 'until', 0, 'ends', ends, 'denials', denials + 1, 'bans', before)
    expire(key, ends - now + (before > 0 and longest or 0))
  end
end
if not admitted and not cut then return levels end

at, to = 1, 1
for i = 1, #KEYS do
  local key, kind, window, charge = KEYS[i], ARGV[at], ARGV[at + 1] + 0, ARGV[at + 2]
  local left, renews = levels[to], renew[i]
  local writes = admitted or renews == 'cut'
  if not admitted then charge = '0' end
  -- A key of GCRA outlives every moment of the eighth of a window in which its state lay when
  -- its expiry was set, so within that the expiry may stay.
  local eighth = window / 8
  if kind == 'whole' then
    if not writes then
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
    if not writes then
      -- As it was.
    elseif not renews then
      call('HINCRBY', key, 'rest', charge)
    else
      if left == 0 then left = window end
      call('HSET', key, 'ends', now + left, 'rest', levels[to + 1] + charge, 'of', ARGV[at + 3])
      expire(key, left)
    end
    at, to = at + 4, to + 2
  elseif kind == 'parts' then
    if writes then
      local after, rest, parts = left + charge, levels[to + 1], ARGV[at + 4] + 0
      if admitted then rest = rest + ARGV[at + 3] end
      if rest >= parts then after, rest = after + 1, rest - parts end
      call('HSET', key, 'ends', now + after, 'rest', rest, 'of', ARGV[at + 4])
      if renews or (now + left) % eighth + after - left >= eighth then
        expire(key, after + eighth)
      end
    end
    at, to = at + 5, to + 2
  elseif kind == 'sliding' then
    if writes then
      local log, used, quota = logs[i], levels[to + 1], ARGV[at + 3]
      if charge ~= '0' then
        local width, units = ARGV[at + 4] + 0, charge + 0
        if log ~= '' then
          local taken, others = struct.unpack('>I7I5', log, #log - 11)
          if math.floor(taken / width) == math.floor(now / width) then
            log, units = string.sub(log, 1, -13), units + others
          end
        end
        log = log .. struct.pack('>I7I5', now, units)
      end
      call('HSET', key, 'log', log, 'used', used + charge, 'of', quota)
      expire(key, window)
    end
    at, to = at + 5, to + 4
  elseif kind == 'places' then
    if admitted and charge ~= '0' then
      call('ZADD', key, string.format('%.0f', now + window), ARGV[at + 4])
      call('ZREMRANGEBYSCORE', key, '-inf', string.format('%.0f', now))
      expire(key, window)
    end
    at, to = at + 5, to + 1
  else
    at, to = at + 7, to + 3
  end
end
if not admitted or ARGV[at] ~= 'mark' then return levels end

levels[to] = now
at = 1
for i = 1, #KEYS do
  local kind, began = ARGV[at], 0
  if kind == 'whole' or kind == 'parts' or kind == 'fixed' or kind == 'sliding' then
    began = call('HGET', KEYS[i], 'began')
    if not began then
      began = now
      call('HSET', KEYS[i], 'began', now)
    end
    began = began + 0
  end
  levels[to + i] = began
  at = at + (kind == 'whole' and 3 or kind == 'fixed' and 4 or kind == 'ban' and 7 or 5)
end
return levels
