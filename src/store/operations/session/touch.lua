-- Notes activity when it is time, and that a new id was presented for the first time: from then
-- on the id before it ends with its grace.
-- KEYS  2 (only for that) the key of the id before it
-- ARGV  6 the hash of the id before it, 7 the grace (ms)
-- Answers 1.
--
-- The commands that a server at its memory limit takes come first. It takes those after them, too.
local first = KEYS[2] and kind == '?' and (call('HGET', key, 'p') or '') == ARGV[6]
if first then
  local ends = tonumber(string.sub(meta, 29, 39), 16) + ARGV[7]
  if ends <= now then
    call('UNLINK', KEYS[2])
  else
    call('PEXPIREAT', KEYS[2], ends < now + left and ends or now + left)
  end
  call('HDEL', key, 'p')
  kind = '='
end
if due then call('PEXPIREAT', key, now + ttl) end
if due or first then
  call('HSET', key, 'm', kind .. string.sub(meta, 2, 39) .. times .. string.sub(meta, 61))
end
return 1
