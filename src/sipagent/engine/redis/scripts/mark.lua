-- ARGV: call id, replica, epoch, mark, unix seconds. 'done_now', 'already', 'not_owner', or
-- 'unknown' where the call is not known here.
local key = call_key(ARGV[1])
local owner = whose(ARGV[1], ARGV[2], ARGV[3])
if owner == 'unknown' then return owner end
if owner == 'other' then return 'not_owner' end
return redis.call('HSETNX', key, 'm:' .. ARGV[4], ARGV[5]) == 1 and 'done_now' or 'already'
