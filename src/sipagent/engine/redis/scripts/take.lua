-- ARGV: member, the cap (JSON). 1 if there was room, and one more is counted.
local cap = cjson.decode(ARGV[2])
if full(cap) then return 0 end
take(cap, ARGV[1])
return 1
