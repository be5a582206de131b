-- ARGV: micro-dollars, then a quota's key, its day and its month, for each quota. The sums after it.
local sums = {}
for at = 2, #ARGV, 3 do
  local purse = purse_key(ARGV[at])
  for label = at + 1, at + 2 do
    sums[#sums + 1] = redis.call('HINCRBY', purse, ARGV[label], ARGV[1])
  end
  redis.call('EXPIRE', purse, 3456000)
end
return sums
