-- ARGV: call id, replica, epoch, the decision, what is asked for besides (JSON) or empty, '1' to
-- give all room back. Gives back {'not_owner'} or the admission.
local call_id = ARGV[1]
if not owns(call_id, ARGV[2], ARGV[3]) then return {'not_owner'} end
if ARGV[6] == '1' then release(call_id) end
local admission = {'ok', '', 0, 0}
if ARGV[5] ~= '' then
  local asked = cjson.decode(ARGV[5])
  for _, cap in ipairs(asked.caps) do
    if full(cap) then admission = {'full', cap.which, 0, 0} break end
  end
  if admission[1] ~= 'ok' then release(call_id) end
  if admission[1] == 'ok' then
    for _, cap in ipairs(asked.caps) do take(cap, call_id) end
  end
end
redis.call('HSET', call_key(call_id), 'decision', ARGV[4])
redis.call('HDEL', call_key(call_id), 'admission')
if admission[1] ~= 'ok' then
  redis.call('HSET', call_key(call_id), 'admission', cjson.encode(admission))
end
return admission
