-- ARGV: replica, then call id and epoch of each call. How many of them are anybody's from now on.
local given = 0
for at = 2, #ARGV, 2 do
  if owns(ARGV[at], ARGV[1], ARGV[at + 1]) then
    local key = call_key(ARGV[at])
    local id = redis.call('HGET', key, 'id')
    redis.call('HSET', key, 'owner', '')
    local moved = redis.pcall('XCLAIM', STREAM, GROUP, 'nobody', 0, id, 'IDLE', 86400000, 'JUSTID')
    if moved.err or #moved == 0 then -- its entry is gone: without one nobody would find the call
      id = hold(ARGV[at], 'nobody')
      redis.call('HSET', key, 'id', id)
      redis.call('XCLAIM', STREAM, GROUP, 'nobody', 0, id, 'IDLE', 86400000, 'JUSTID')
    end
    given = given + 1
  end
end
return given
