-- ARGV: seconds, then ids of calls and webhooks that were taken while this was away.
for at = 2, #ARGV do redis.call('SET', '{sip}:seen:' .. ARGV[at], '1', 'NX', 'EX', ARGV[1]) end
return #ARGV - 1
