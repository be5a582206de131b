-- ARGV: call id. Who holds the call: empty while it changes hands, false where it is not known.
return redis.call('HGET', call_key(ARGV[1]), 'owner')
