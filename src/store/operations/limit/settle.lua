-- Gives back units of a reservation, as far as they have not come back by time. What the states
-- and marks mean is said in algorithm/.
--
-- KEYS[i]  the state of limit i
-- ARGV     of each limit its kind (moment, fixed, sliding or none); what goes back: microseconds
--          (moment), else units; the mark of the reservation; the time at which the state began
--          that it was taken of; the quota; the window in microseconds
-- No key is made, so that none is without an expiry, and none stays that holds nothing.

local call = redis.call
local time = call('TIME')
local now = time[1] * 1000000 + time[2]

for i = 1, #KEYS do
  local key, at = KEYS[i], i * 6 - 5
  local kind, back, mark, began = ARGV[at], ARGV[at + 1] + 0, ARGV[at + 2] + 0, ARGV[at + 3]
  if kind == 'moment' then
    local state = call('HMGET', key, 'ends', 'began')
    if state[1] and state[2] == began then
      back = math.min(back, mark - now, state[1] - now)
      if back > 0 then call('HINCRBY', key, 'ends', -back) end
    end
  elseif kind == 'fixed' then
    local state = call('HMGET', key, 'ends', 'rest', 'of')
    if state[1] == ARGV[at + 2] and state[3] == ARGV[at + 4] then
      if back < state[2] + 0 then
        call('HINCRBY', key, 'rest', -back)
      else
        call('DEL', key)
      end
    end
  elseif kind == 'sliding' then
    local state = call('HMGET', key, 'log', 'used', 'of', 'began')
    local log = state[1]
    local charged = mark + ARGV[at + 5] > now
    if charged and log and state[3] == ARGV[at + 4] and state[4] == began then
      for from = 1, #log, 12 do
        local taken, units = struct.unpack('>I7I5', log, from)
        if taken >= mark then
          back = math.min(back, units)
          local group = ''
          if back < units then group = struct.pack('>I7I5', taken, units - back) end
          log = string.sub(log, 1, from - 1) .. group .. string.sub(log, from + 12)
          if log == '' then
            call('DEL', key)
          else
            call('HSET', key, 'log', log, 'used', state[2] - back)
          end
          break
        end
      end
    end
  end
end
return #KEYS
