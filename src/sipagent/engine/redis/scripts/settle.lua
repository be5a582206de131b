-- ARGV: call id, replica, epoch, and for a call that was never registered the seconds for which its
-- id is remembered: its claim may have come here late, or come yet. Nothing is left of the call but
-- its ids.
if ARGV[4] then redis.call('SET', '{sip}:seen:call:' .. ARGV[1], '1', 'NX', 'EX', ARGV[4]) end
if not owns(ARGV[1], ARGV[2], ARGV[3]) then return 0 end
forget(ARGV[1])
return 1
