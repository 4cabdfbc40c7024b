-- Ends a session.
-- KEYS  2 (only where a pointer led here) the key of the id that the client has presented
-- Answers '=', the lineage, and the user who was logged in.
local user = call('HGET', key, 'u') or ''
call('UNLINK', unpack(KEYS))
return '=' .. string.sub(meta, 2, 17) .. user
