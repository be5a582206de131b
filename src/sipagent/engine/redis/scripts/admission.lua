-- Whether there is room for a call: what sipagent.engine.counters decides for one process.
local function pool_has_room(quota, tenant)
  local pool = pool_key(quota.key)
  local total = tonumber(redis.call('HGET', pool, 'all') or '0')
  if total >= quota.held then return false end
  local kept, guaranteed = 0, false
  for _, reserve in ipairs(quota.reserves) do
    local held = tonumber(redis.call('HGET', pool, 't:' .. reserve[1]) or '0')
    if reserve[1] == tenant then
      guaranteed = held < reserve[2]
    else
      kept = kept + math.max(0, reserve[2] - held)
    end
  end
  return guaranteed or total + kept < quota.held
end

local function no_room(quota, tenant)
  if quota.held and not pool_has_room(quota, tenant) then return 'held' end
  if quota.rate and full(quota.rate) then return 'rate' end
  return nil
end

-- {status, limit, own}, nil where there is room.
local function crowded(tenant, caps, quotas)
  for _, cap in ipairs(caps) do
    if full(cap) then return {'full', cap.which, false} end
  end
  for _, quota in ipairs(quotas) do
    local why = no_room(quota, tenant)
    if why then return {'full', quota.scope .. '.' .. why, not quota.shared} end
  end
  return nil
end

local function unpaid(quotas)
  for _, quota in ipairs(quotas) do
    for _, budget in ipairs(quota.budgets) do
      local spent = tonumber(redis.call('HGET', purse_key(quota.key), budget.label) or '0')
      if spent >= budget.limit then return {'spent', quota.scope .. '.' .. budget.period, true} end
    end
  end
  return nil
end

local function count(call_id, tenant, caps, quotas)
  for _, cap in ipairs(caps) do take(cap, call_id) end
  for _, quota in ipairs(quotas) do
    if quota.rate then take(quota.rate, call_id) end
  end
  count_for(call_id, tenant, quotas)
end

local function shared(quotas)
  local found = {}
  for _, quota in ipairs(quotas) do
    if quota.shared then found[#found + 1] = quota end
  end
  return found
end

-- {status, limit, own, overflow}: the call is counted for all of it, for what sends it on, or for
-- nothing.
local function admit(call_id, asked)
  local refused = crowded(asked.tenant, asked.caps, asked.quotas)
  if not refused and not asked.free then refused = unpaid(asked.quotas) end
  if not refused then
    count(call_id, asked.tenant, asked.caps, asked.quotas)
    return {'ok', '', 0, 0}
  end
  local overflow = 0
  if refused[3] and #asked.overflow > 0 then
    local rest = shared(asked.quotas)
    if not crowded(asked.tenant, asked.overflow, rest) then
      count(call_id, asked.tenant, asked.overflow, rest)
      overflow = 1
    end
  end
  return {refused[1], refused[2], refused[3] and 1 or 0, overflow}
end
