-- Ends a session.
-- KEYS  2 (only where a pointer led here) the key of the id that the client has presented
-- Answers 1.
call('UNLINK', unpack(KEYS))
return 1
