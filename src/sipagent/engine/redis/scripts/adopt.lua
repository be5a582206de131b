-- ARGV: replica, lease in milliseconds, cursor, the most calls, and for how many milliseconds nobody
-- else need look (0: whoever asks looks). Gives back the next cursor and each
-- call that is ours from now on, as a list of its fields. XAUTOCLAIM looks at ten times as many
-- entries as it may give, so that whoever does not follow the cursor never sees the rest.
if redis.call('EXISTS', STREAM) == 0 then return {'0-0'} end
if ARGV[3] == '0-0' and ARGV[5] ~= '0' then
  if not redis.call('SET', '{sip}:looking', ARGV[1], 'NX', 'PX', ARGV[5]) then return {'0-0'} end
end
local found = redis.pcall('XAUTOCLAIM', STREAM, GROUP, ARGV[1], ARGV[2], ARGV[3], 'COUNT', ARGV[4])
if found.err then
  if string.find(found.err, 'NOGROUP') then return {'0-0'} end
  return found
end
local adopted = {found[1]}
for _, entry in ipairs(found[2]) do
  if entry and entry[2] then
    local call_id = entry[2][2]
    local key = call_key(call_id)
    if redis.call('HGET', key, 'id') == entry[1] then
      redis.call('HINCRBY', key, 'epoch', 1)
      redis.call('HSET', key, 'owner', ARGV[1])
      adopted[#adopted + 1] = redis.call('HGETALL', key)
    else -- what stands for no call any more
      redis.call('XACK', STREAM, GROUP, entry[1])
      redis.call('XDEL', STREAM, entry[1])
    end
  end
end
return adopted
