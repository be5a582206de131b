-- ARGV: replica, lease in milliseconds, '1' if it may take what is nobody's, then for each job its
-- name, '1' if the replica does it now, '1' if there is something to do. For each job 0 (another's
-- or nobody's), 1 (the replica's) or 2 (the replica's, and there is something to do).
local replica, lease, taking = ARGV[1], tonumber(ARGV[2]), ARGV[3] == '1'
-- What was emptied has forgotten whose the jobs are. For one lease only those who do them get them.
local since = redis.call('GET', '{sip}:jobs:since')
if not since then
  redis.call('SET', '{sip}:jobs:since', tostring(now))
  since = now
end
if now < tonumber(since) + lease / 1000 then taking = false end
local answers = {}
for at = 4, #ARGV, 3 do
  local key = '{sip}:job:' .. ARGV[at]
  local owner = redis.call('GET', key)
  if owner == replica or (not owner and (taking or ARGV[at + 1] == '1')) then
    redis.call('SET', key, replica, 'PX', lease)
    owner = replica
  end
  local stirred = key .. ':stirred'
  if ARGV[at + 2] == '1' then redis.call('SET', stirred, '1', 'PX', 60000) end
  local answer = 0
  if owner == replica then answer = 1 + redis.call('DEL', stirred) end
  answers[#answers + 1] = answer
end
return answers
