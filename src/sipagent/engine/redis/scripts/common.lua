-- What all scripts begin with. Every key has the hash tag {sip}, so that a cluster keeps them
-- together; each script is one step that nothing can come between.
local STREAM, GROUP = '{sip}:calls', 'replicas'
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000

local function call_key(call_id) return '{sip}:call:' .. call_id end
local function pool_key(key) return '{sip}:pool:' .. key end
local function purse_key(key) return '{sip}:purse:' .. key end

local function rate_key(cap)
  return (cap.which == 'per_caller' and '{sip}:caller:' or '{sip}:rate:') .. cap.key
end

local function ensure_group()
  if redis.call('EXISTS', STREAM) == 0 then
    redis.call('XGROUP', 'CREATE', STREAM, GROUP, '0', 'MKSTREAM')
  end
end

-- A pending entry is a call that is held, its idle time the age of its lease.
local function hold(call_id, replica)
  ensure_group()
  local id = redis.call('XADD', STREAM, '*', 'call', call_id)
  redis.call('XCLAIM', STREAM, GROUP, replica, 0, id, 'FORCE', 'JUSTID')
  return id
end

local function owns(call_id, replica, epoch)
  local held = redis.call('HMGET', call_key(call_id), 'owner', 'epoch')
  return held[1] == replica and held[2] == epoch
end

-- 'ours', 'unknown' or 'other'. A claim of this epoch or an earlier one that the provider has not
-- given to its owner is of a webhook that came again after all was forgotten here: whoever holds the
-- call has to tell of it anew.
local function whose(call_id, replica, epoch)
  local held = redis.call('HMGET', call_key(call_id), 'owner', 'epoch', 'm:accepted', 'm:attached')
  if not held[1] then return 'unknown' end
  if held[1] == replica and held[2] == epoch then return 'ours' end
  if tonumber(held[2]) <= tonumber(epoch) and held[1] ~= replica and held[1] ~= '' and not held[3]
    and not held[4] then
    return 'unknown'
  end
  return 'other'
end

local function pool_add(key, tenant, count)
  local pool = pool_key(key)
  if redis.call('HINCRBY', pool, 't:' .. tenant, count) <= 0 then
    redis.call('HDEL', pool, 't:' .. tenant)
  end
  if redis.call('HINCRBY', pool, 'all', count) <= 0 then redis.call('DEL', pool) end
end

local function full(cap)
  local key = rate_key(cap)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now - cap.seconds)
  return redis.call('ZCARD', key) >= cap.count
end

local function take(cap, member)
  local key = rate_key(cap)
  redis.call('ZADD', key, now, member .. ':' .. clock[1] .. '.' .. clock[2])
  redis.call('PEXPIRE', key, math.ceil(cap.seconds * 1000) + 1000)
end

local function count_for(call_id, tenant, quotas)
  local keys = {}
  for _, quota in ipairs(quotas) do
    pool_add(quota.key, tenant, 1)
    keys[#keys + 1] = quota.key
  end
  redis.call('HSET', call_key(call_id), 'tenant', tenant, 'quotas', cjson.encode(keys))
end

local function release(call_id)
  local key = call_key(call_id)
  local counted = redis.call('HMGET', key, 'tenant', 'quotas')
  if not counted[2] then return end
  redis.call('HDEL', key, 'quotas')
  for _, quota in ipairs(cjson.decode(counted[2])) do pool_add(quota, counted[1], -1) end
end

-- Nothing is left of the call but its ids.
local function forget(call_id)
  local id = redis.call('HGET', call_key(call_id), 'id')
  release(call_id)
  redis.call('DEL', call_key(call_id))
  redis.pcall('XACK', STREAM, GROUP, id)
  redis.call('XDEL', STREAM, id)
end
