-- ARGV: replica, a number that rises with each of its bills, micro-dollars, then a quota's key, its
-- day and its month, for each quota. The sums after it. A bill whose answer was lost comes again, and
-- counts once.
local told = '{sip}:told:' .. ARGV[1]
local again = tonumber(redis.call('GET', told) or '0') >= tonumber(ARGV[2])
if not again then redis.call('SET', told, ARGV[2], 'EX', 86400) end
local sums = {}
for at = 4, #ARGV, 3 do
  local purse = purse_key(ARGV[at])
  for label = at + 1, at + 2 do
    sums[#sums + 1] = redis.call('HINCRBY', purse, ARGV[label], again and 0 or ARGV[3])
  end
  redis.call('EXPIRE', purse, 3456000)
end
return sums
