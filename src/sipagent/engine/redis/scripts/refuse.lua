-- ARGV: call id, replica, epoch, how many may refuse it. A replica cannot read the claim, which others
-- may: nobody renews it, and the next takes it over. 1 where that was the last.
if not owns(ARGV[1], ARGV[2], ARGV[3]) then return 0 end
local key = call_key(ARGV[1])
if redis.call('HINCRBY', key, 'refusals', 1) < tonumber(ARGV[4]) then return 0 end
forget(ARGV[1])
return 1
