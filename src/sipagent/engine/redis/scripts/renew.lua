-- ARGV: replica, then call id and epoch of each call. One letter for each: 'o' its lease is
-- renewed, 't' it is another's, 'u' it is not known here. A bare XCLAIM would let an owner that
-- was asleep steal back what others have taken over.
local replica, answers = ARGV[1], {}
for at = 2, #ARGV, 2 do
  local owner, answer = whose(ARGV[at], replica, ARGV[at + 1]), 'u'
  if owner == 'other' then
    answer = 't'
  elseif owner == 'ours' then
    -- A stream that was emptied alone has no entry, and its calls are registered again.
    local id = redis.call('HGET', call_key(ARGV[at]), 'id')
    local renewed = redis.pcall('XCLAIM', STREAM, GROUP, replica, 0, id, 'JUSTID')
    if not renewed.err and #renewed > 0 then answer = 'o' end
  end
  answers[#answers + 1] = answer
end
return table.concat(answers)
