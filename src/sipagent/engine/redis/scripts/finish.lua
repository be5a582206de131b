-- ARGV: call id, replica, epoch, the outcome. 1 if it was ours to end: it counts for nothing more.
if not owns(ARGV[1], ARGV[2], ARGV[3]) then return 0 end
release(ARGV[1])
redis.call('HSET', call_key(ARGV[1]), 'outcome', ARGV[4])
return 1
