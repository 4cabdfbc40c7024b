-- Consumes from all limits of one subject, or from none. The same arithmetic as in
-- src/rate_limit/algorithm.rs; whole microseconds, exact below 2^53.
--
-- KEYS[i]              the state of limit i: "ends" or "ends:count"
-- ARGV[1]              the cost; 0 looks and writes nothing
-- ARGV[3i-1 .. 3i+1]   of limit i: gcra or fixed, the quota, the interval in microseconds
--
-- Answers three integers a limit: remaining, reset after (µs), and the wait (µs): 0 when the
-- limit admits, -1 when it never will.

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local cost = tonumber(ARGV[1])

local function wait(limit)
  if cost == 0 then
    return 0
  elseif cost > limit.quota then
    return -1
  elseif limit.fixed then
    return limit.count + cost > limit.quota and limit.ends - now or 0
  end
  return math.max(0, limit.ends + cost * limit.interval - (now + limit.span))
end

local function consume(limit)
  if not limit.fixed then
    limit.ends = limit.ends + cost * limit.interval
    return
  end
  if limit.ends == now then
    limit.ends = now + limit.interval
  end
  limit.count = limit.count + cost
end

local function remaining(limit)
  if limit.fixed then
    return math.max(0, limit.quota - limit.count)
  end
  return math.floor((limit.span - (limit.ends - now)) / limit.interval)
end

local function store(limit)
  -- '%.0f': tostring would round to 14 digits.
  local state = string.format('%.0f', limit.ends)
  if limit.fixed then
    state = state .. string.format(':%.0f', limit.count)
  end
  -- Redis counts the time to live from its clock's last whole millisecond: one more, so that
  -- a state never goes early.
  local ttl = math.ceil((limit.ends - now) / 1000) + 1
  redis.call('SET', limit.key, state, 'PX', string.format('%.0f', ttl))
end

local limits, admitted = {}, true
for i, key in ipairs(KEYS) do
  local fixed = ARGV[3 * i - 1] == 'fixed'
  local quota, interval = tonumber(ARGV[3 * i]), tonumber(ARGV[3 * i + 1])
  local span = fixed and interval or quota * interval
  local ends, count = string.match(redis.call('GET', key) or '', '^(%d+):?(%d*)$')
  ends, count = tonumber(ends), tonumber(count)
  if not ends or ends <= now then
    ends, count = now, 0
  end
  local limit = {
    key = key,
    fixed = fixed,
    quota = quota,
    interval = interval,
    span = span,
    -- No request can leave a state that reaches further, so the clock stepped back.
    ends = math.min(ends, now + span),
    count = count or 0,
    cut = ends > now + span,
  }
  limit.wait = wait(limit)
  admitted = admitted and limit.wait == 0
  limits[i] = limit
end

local reply = {}
for _, limit in ipairs(limits) do
  if cost > 0 and admitted then
    consume(limit)
    store(limit)
  elseif cost > 0 and limit.cut then
    -- Or the cut would slide along with the clock and deny until the old time comes again.
    store(limit)
  end
  reply[#reply + 1] = remaining(limit)
  reply[#reply + 1] = limit.ends - now
  reply[#reply + 1] = limit.wait
end
return reply
