-- ARGV: a quota's key, a day or month, micro-dollars that records know of. What is counted is at
-- least that: of two replicas that begin at once the second changes nothing.
local purse = purse_key(ARGV[1])
local counted = tonumber(redis.call('HGET', purse, ARGV[2]) or '0')
if tonumber(ARGV[3]) > counted then redis.call('HSET', purse, ARGV[2], ARGV[3]) end
redis.call('EXPIRE', purse, 3456000)
return math.max(counted, tonumber(ARGV[3]))
