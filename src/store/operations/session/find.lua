-- Every session script is find.lua, (commit alone) resent.lua, session.lua, and its own file.
-- mod.rs says what is stored and which id leads where.
--
-- KEYS  1 the session
-- ARGV  1 the lineage that the caller knows, or ''
--       2 '' when the client has presented this id itself; '>' when a pointer led here; 'x' when
--         one did that only a login may follow
--       3 the part of the idle timeout between touches, or '' when the caller knows that none is
--         due, 4 the idle timeout, 5 the absolute timeout (both in ms, of sessions without their own)
--
-- Answers, where a script's own are not enough: 0 there is no such session; -1 it is corrupt;
-- -2 it would grow over its bounds; -3 it is another user's; '>…', 'x…' a pointer;
-- '?…' the id was never presented before, and this is the hash of the one before it.
local call = redis.call
local key, presented = KEYS[1], ARGV[2] == ''
local meta = redis.pcall('HGET', key, 'm')
