-- Takes a request's cost of all GCRA limits of one subject, or of none, and if the subject is far
-- from all of them a block of units with it, for its process to spend without asking. The
-- arithmetic and the states are those of acquire.lua; a quota is cut by what blocks may be late.
--
-- KEYS[i]  the state of limit i: a hash of ends, rest and of
-- ARGV     1 where a block is asked for; of each limit its window in microseconds and the parts in
--          one, and each in microseconds and in parts beyond them: what may be held, the cost, the
--          cost with the block, what may be held with the block
-- Answers 1 if the block was given, and what was in use of each limit before: left, rest.

local call, pcall = redis.call, redis.pcall
local time = call('TIME')
local now = time[1] * 1000000 + time[2]

local charged, admitted, leased, cut = false, true, ARGV[1] == '1', false
local levels, renew = { 0 }, {}
for i = 1, #KEYS do
  local at = i * 10 - 8
  local window, parts = ARGV[at] + 0, ARGV[at + 1] + 0
  local state = pcall('HMGET', KEYS[i], 'ends', 'rest', 'of')
  if state.err then
    if string.sub(state.err, 1, 9) ~= 'WRONGTYPE' then return state end
    -- Another type of value: none of ours.
    call('DEL', KEYS[i])
    state = {}
  end
  local left, rest = (state[1] or 0) - now, (state[2] or 0) + 0
  if parts == 1 then
    rest = 0
  elseif rest > 0 and state[3] ~= ARGV[at + 1] then
    -- Of another quota: the next whole microsecond.
    left, rest = left + 1, 0
  end
  if left < 0 or left == 0 and rest == 0 then
    left, rest, renew[i] = 0, 0, true
  elseif left > window then
    left, rest, renew[i], cut = window, 0, 'cut', true
  end
  local function within(charge, most)
    local after, beyond = left + ARGV[charge], rest + ARGV[charge + 1]
    if beyond >= parts then after, beyond = after + 1, beyond - parts end
    return after < ARGV[most] + 0 or after == ARGV[most] + 0 and beyond <= ARGV[most + 1] + 0
  end
  if ARGV[at + 4] ~= '0' or ARGV[at + 5] ~= '0' then charged = true end
  if not within(at + 4, at + 2) then admitted = false end
  if leased and not within(at + 6, at + 8) then leased = false end
  levels[i * 2], levels[i * 2 + 1] = left, rest
end
if not charged or not admitted and not cut then return levels end
leased = leased and admitted
if leased then levels[1] = 1 end

for i = 1, #KEYS do
  if admitted or renew[i] == 'cut' then
    local key, at = KEYS[i], i * 10 - 8
    local charge = leased and at + 6 or at + 4
    local window, parts, left = ARGV[at] + 0, ARGV[at + 1] + 0, levels[i * 2]
    local after, rest = left, levels[i * 2 + 1]
    if admitted then after, rest = after + ARGV[charge], rest + ARGV[charge + 1] end
    if rest >= parts then after, rest = after + 1, rest - parts end
    -- A key outlives every moment of the eighth of a window in which its state lay when its expiry
    -- was set, so within that the expiry may stay.
    local eighth = window / 8
    if parts == 1 then
      call('HSET', key, 'ends', now + after)
    else
      call('HSET', key, 'ends', now + after, 'rest', rest, 'of', ARGV[at + 1])
    end
    if renew[i] or (now + left) % eighth + after - left >= eighth then
      local ttl = (after + eighth) / 1000
      call('PEXPIRE', key, ttl - ttl % 1 + 2)
    end
  end
end
return levels
