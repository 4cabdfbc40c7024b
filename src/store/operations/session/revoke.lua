-- Ends a user's session, and keeps one that is about to be stored from being so.
-- KEYS  1 the session's place, 2 (where that is known) the session there
-- ARGV  1 the session's lineage, 2 the hash under which KEYS[2] is, or '', 3 for how long it is
--       remembered at most (ms)
-- Answers 1 when the session is ended, 0 when it was not there; or the hash under which it is instead.
local call = redis.call
local at = call('GET', KEYS[1])
if at == '!' then return 1 end
if at and at ~= ARGV[2] then return at end
local ended = 0
if KEYS[2] then
  local meta = redis.pcall('HGET', KEYS[2], 'm')
  if type(meta) == 'string' and string.sub(meta, 2, 17) == ARGV[1] then
    ended = call('UNLINK', KEYS[2])
  end
end
local remembered = ARGV[3] + 0
if at then remembered = math.max(1, math.min(remembered, call('PTTL', KEYS[1]))) end
-- First what only removes: then a server at its memory limit takes the rest, too.
call('UNLINK', KEYS[1])
call('SET', KEYS[1], '!', 'PX', remembered)
return ended
