-- ARGV: call id, replica, epoch. Nothing is left of the call but its ids.
if not owns(ARGV[1], ARGV[2], ARGV[3]) then return 0 end
local id = redis.call('HGET', call_key(ARGV[1]), 'id')
release(ARGV[1])
redis.call('DEL', call_key(ARGV[1]))
redis.pcall('XACK', STREAM, GROUP, id)
redis.call('XDEL', STREAM, id)
return 1
