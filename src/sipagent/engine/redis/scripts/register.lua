-- ARGV: call id, webhook id, replica, epoch, seconds for which ids are remembered, unix seconds of
-- the claim, the call, the decision, the tenant, the quotas it counts for (JSON), the outcome or
-- empty, whether the provider has given it to the replica ('held', 'alone' where it was taken while
-- this was away, or empty), then pairs of marks. 'registered', 'ours' or 'taken': another replica
-- has the call, or has brought it to its end.
local call_id, replica, epoch = ARGV[1], ARGV[3], ARGV[4]
local key = call_key(call_id)
local held = redis.call('HMGET', key, 'owner', 'epoch', 'id')
if ARGV[12] ~= '' and held[1] and whose(call_id, replica, epoch) == 'unknown' then
  -- Whose claim came here late has not got the call, or lets it go when it asks for it.
  redis.call('HSET', key, 'owner', replica, 'epoch', epoch, 'at', ARGV[6], 'call', ARGV[7],
    'decision', ARGV[8])
  for at = 13, #ARGV, 2 do redis.call('HSETNX', key, 'm:' .. ARGV[at], ARGV[at + 1]) end
  held[1], held[2] = replica, epoch
end
if held[1] then
  if held[1] ~= replica or held[2] ~= epoch then return 'taken' end
  -- What was decided when the claim's answer did not come is what was done.
  redis.call('HSET', key, 'decision', ARGV[8])
  redis.call('HDEL', key, 'admission')
  if ARGV[10] == '' or ARGV[11] ~= '' then
    release(call_id)
  elseif redis.call('HEXISTS', key, 'quotas') == 0 then
    local quotas = {}
    for _, quota in ipairs(cjson.decode(ARGV[10])) do quotas[#quotas + 1] = {key = quota} end
    count_for(call_id, ARGV[9], quotas)
  end
  local there = redis.pcall('XCLAIM', STREAM, GROUP, replica, 0, held[3], 'JUSTID')
  if there.err or #there == 0 then redis.call('HSET', key, 'id', hold(call_id, replica)) end
  return 'ours'
end
-- What was emptied remembers no ids either. Another replica that took the call as well, in vain, has
-- its id remembered.
if ARGV[12] ~= 'alone' and redis.call('EXISTS', '{sip}:seen:call:' .. call_id) == 1 then return 'taken' end
for _, name in ipairs({'call:' .. call_id, 'webhook:' .. ARGV[2]}) do
  redis.call('SET', '{sip}:seen:' .. name, '1', 'NX', 'EX', ARGV[5])
end
local id = hold(call_id, replica)
redis.call('HSET', key, 'id', id, 'name', call_id, 'owner', replica, 'epoch', epoch, 'at', ARGV[6],
  'call', ARGV[7], 'decision', ARGV[8], 'webhook', ARGV[2])
for at = 13, #ARGV, 2 do redis.call('HSETNX', key, 'm:' .. ARGV[at], ARGV[at + 1]) end
if ARGV[11] ~= '' then
  redis.call('HSET', key, 'outcome', ARGV[11])
elseif ARGV[10] ~= '' then
  local quotas = {}
  for _, quota in ipairs(cjson.decode(ARGV[10])) do quotas[#quotas + 1] = {key = quota} end
  count_for(call_id, ARGV[9], quotas)
end
return 'registered'
