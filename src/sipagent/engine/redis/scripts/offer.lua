-- ARGV: call id, webhook id, replica, seconds for which ids are remembered, what is asked for
-- (JSON, empty for a call that takes no room), the call, the decision. Gives back {'duplicate'},
-- or the stream's id and the admission.
local call_id, webhook_id, replica, remembered = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local seen = {'{sip}:seen:call:' .. call_id, '{sip}:seen:webhook:' .. webhook_id}
local known = redis.call('EXISTS', seen[1], seen[2]) > 0
for _, key in ipairs(seen) do redis.call('SET', key, '1', 'NX', 'EX', remembered) end
if known then return {'duplicate'} end
local admission = {'ok', '', 0, 0}
if ARGV[5] ~= '' then admission = admit(call_id, cjson.decode(ARGV[5])) end
local id = hold(call_id, replica)
redis.call('HSET', call_key(call_id), 'id', id, 'name', call_id, 'owner', replica, 'epoch', '1',
  'at', tostring(now), 'call', ARGV[6], 'decision', ARGV[7], 'webhook', webhook_id)
if admission[1] ~= 'ok' then
  redis.call('HSET', call_key(call_id), 'admission', cjson.encode(admission))
end
return {id, admission[1], admission[2], admission[3], admission[4]}
