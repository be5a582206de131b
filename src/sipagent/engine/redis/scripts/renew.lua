-- ARGV: replica, then call id and epoch of each call. One letter for each: 'o' its lease is
-- renewed, 't' it is another's, 'u' it is not known here. A bare XCLAIM would let an owner that
-- was asleep steal back what others have taken over.
local replica, answers = ARGV[1], {}
for at = 2, #ARGV, 2 do
  local held = redis.call('HMGET', call_key(ARGV[at]), 'owner', 'epoch', 'id')
  local answer = 'u'
  if held[1] and (held[1] ~= replica or held[2] ~= ARGV[at + 1]) then
    answer = 't'
  elseif held[3] then
    -- A stream that was emptied alone has no entry, and its calls are registered again.
    local renewed = redis.pcall('XCLAIM', STREAM, GROUP, replica, 0, held[3], 'JUSTID')
    if not renewed.err and #renewed > 0 then answer = 'o' end
  end
  answers[#answers + 1] = answer
end
return table.concat(answers)
