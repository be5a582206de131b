-- ARGV: call id, replica, epoch, mark, unix seconds. 'done_now', 'already', 'not_owner', or
-- 'unknown' where the call is not known here.
local key = call_key(ARGV[1])
if redis.call('EXISTS', key) == 0 then return 'unknown' end
if not owns(ARGV[1], ARGV[2], ARGV[3]) then return 'not_owner' end
return redis.call('HSETNX', key, 'm:' .. ARGV[4], ARGV[5]) == 1 and 'done_now' or 'already'
