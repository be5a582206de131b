-- ARGV: replica, then names of jobs. Those that are the replica's are anybody's; how many.
local left = 0
for at = 2, #ARGV do
  local key = '{sip}:job:' .. ARGV[at]
  if redis.call('GET', key) == ARGV[1] then left = left + redis.call('DEL', key) end
end
return left
