-- Who is here, as all gateways together say: as state/muster.rs, and the leases of state/attendance.rs.
--
-- A lease is until when it holds, the serial of the tick that was heard last, and what that was answered:
-- `1795000600000000 17 1`.

-- Asks every gateway again who is here.
local function call_muster()
  redis.call('BITOP', 'OR', BEFORE, BEFORE, HERE)
  redis.call('DEL', HERE, TWICE)
  local gateways = redis.call('HKEYS', LEASES)
  if #gateways > 0 then redis.call('SADD', UNANSWERED, unpack(gateways)) end
  put('mustered_at', now)
  put('doubted', 0)
end

local function has_answered(gateway) return redis.call('SISMEMBER', UNANSWERED, gateway) == 0 end

-- Ends a muster that every gateway has answered.
local function settle()
  if redis.call('SCARD', UNANSWERED) > 0 then return end
  redis.call('DEL', BEFORE)
  if get('unsettled') == 1 then put('unsettled', 0) end
end

local function drop_expired_leases()
  local leases, dropped = redis.call('HGETALL', LEASES), false
  for i = 1, #leases, 2 do
    if tonumber(string.match(leases[i + 1], '^%d+')) <= now then
      redis.call('HDEL', LEASES, leases[i])
      redis.call('HDEL', WISHES, leases[i])
      redis.call('SREM', UNANSWERED, leases[i])
      dropped = true
    end
  end
  if dropped then call_muster() end
end

-- Tells whether to ask again because of somebody who was told by two: the more are here, the later.
local function is_muster_due()
  if get('doubted') ~= 1 then return false end
  local since = now - get('mustered_at')
  return since < 0 or (since >= MUSTER_US and since >= redis.call('BITCOUNT', HERE) * MUSTER_EACH_US)
end

local function tend_muster()
  drop_expired_leases()
  if is_muster_due() then call_muster() end
  settle()
end

-- Forgets who is here, and begins a muster.
local function unsettle()
  redis.call('DEL', HERE, TWICE, BEFORE)
  call_muster()
  put('unsettled', 1)
  settle()
end

local function forget_gateways()
  redis.call('DEL', LEASES, WISHES, UNANSWERED, HERE, TWICE, BEFORE)
  put('mustered_at', now)
  put('doubted', 0)
  put('unsettled', 0)
end

-- Notes who has come back to a place that was forgotten: as Attendance::come_back.
local function greet(here)
  if is_empty(here) then return end
  stand_at_door(here)
  mark(BACK, here, true)
  mark(SEEN, here, true)
end

-- Notes who is with a gateway that has yet to answer the muster: it may be gone before it says so again.
local function stay(here)
  mark(BEFORE, here, true)
  mark(SEEN, here, true)
end

-- Notes for whom a gateway vouches: those for whom this was said before, maybe by another, are told twice.
local function come(here)
  mark(TWICE, sift_bytes(here, HERE), true)
  mark(HERE, here, true)
  mark(SEEN, here, true)
  leave_door(here)
end

-- Notes for whom a gateway vouches no more. Who was told twice stays; whether the other has gone too, the next muster
-- tells, if anyone of them waits.
local function go(gone)
  local staying = sift_bytes(gone, TWICE)
  mark(HERE, gone, false)
  mark(HERE, staying, true)
  if any_of(staying, WAITING) then put('doubted', 1) end
end
