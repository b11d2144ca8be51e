-- Who is present, how many may be called, and what a call does. The arithmetic is that of
-- admission.rs; every sum stays below 2^53, where doubles count exactly.

-- Puts those who are waiting and present into the scratch key.
local function gather_callable()
  bases[SCRATCH] = base(WAITING)
  local door = redis.call('GET', DOOR)
  if door then mark(SCRATCH, {from = base(DOOR), bytes = door}, true) end
  redis.call('BITOP', 'OR', SCRATCH, SCRATCH, HERE, BEFORE)
  redis.call('BITOP', 'AND', SCRATCH, SCRATCH, WAITING)
end

local function shares_a_bit(a, b)
  for i = 1, math.min(#a, #b) do
    if bit.band(string.byte(a, i), string.byte(b, i)) ~= 0 then return true end
  end
  return false
end

-- Tells whether anyone waiting is present. The head of the line mostly knows.
local function anyone_callable()
  local first = redis.call('BITPOS', WAITING, 1)
  if first < 0 then return false end
  local from = base(WAITING) + math.floor(first / 8)
  local head = slice(WAITING, from, 32)
  for _, key in ipairs({HERE, BEFORE, DOOR}) do
    if shares_a_bit(head, slice(key, from, 32)) then return true end
  end
  return in_scratch(function()
    gather_callable()
    return redis.call('BITPOS', SCRATCH, 1) >= 0
  end)
end

-- Returns the lowest of those gathered.
local function lowest_callable(limit)
  return with_bytes(SCRATCH, lowest(SCRATCH, math.min(limit, CALL_LIMIT)))
end

local function free_sessions()
  local limit = tonumber(line.total_active_users)
  return limit and math.max(0, limit - active()) or math.huge
end

local function rate_allowance()
  local interval = interval_in_force()
  if interval == 0 then return math.huge end
  if interval == MAX_INTERVAL_US then return 0 end
  local owed = math.max(0, get('tat') - now)
  local part = math.fmod(owed, interval)
  local intervals = (owed - part) / interval + (part > 0 and 1 or 0)
  return math.max(0, get('burst') - intervals)
end

local function stage()
  local ms = math.floor(now / 1000)
  local function before(name) return ms < (get(name) or 0) end
  if ms >= (get('ends_ms') or math.huge) then return 'ended' end
  return before('opens_ms') and 'early' or before('starts_ms') and 'gathering' or 'running'
end

-- Tells whether there is an order to call by: no draw is to come, and who is present is known by place.
local function has_order() return not line.pending and get('unsettled') ~= 1 end

-- Tells whether the places of a draw rest, because it is just being put in place. Nobody gives one up, nor comes back
-- to one; gateways are told, and say it again.
local function rests()
  local until_us = line.pending and get('rests_until')
  return until_us and now < until_us and until_us <= now + DRAW_REST_US
end

-- Closes the entries of a promised draw at the first verb after the start.
local function close_entries()
  local now_at = line.pending and not line.pending_closed and stage()
  if now_at == 'running' or now_at == 'ended' then
    put('pending_closed', line.issued)
    append({draw = 'c ' .. line.issued})
  end
end

local function allowance()
  local calls = line.phase == 'open' or line.phase == 'draining'
  if not calls or stage() ~= 'running' or not has_order() then return 0 end
  local rate = rate_allowance()
  return rate > 0 and math.min(rate, free_sessions()) or 0
end

local function spend(count)
  local tat, interval = get('tat'), interval_in_force()
  if not interval then return 0 end
  if interval == 0 or interval == MAX_INTERVAL_US then return tat end
  return math.min(math.max(tat, now) + count * interval, MAX_TAT_US)
end

local function session_end() return now_s + (get('session_duration_s') or 0) end

local function call_in(runs, by_hand)
  local ends, tat = session_end(), spend(size(runs))
  mark(WAITING, runs, false)
  mark(CALLED, runs, true)
  begin_sessions(runs, ends)
  tally('called', runs)
  put('tat', math.max(get('tat'), tat))
  append({called = write(runs), ends = ends, tat = tat, by_hand = by_hand and text(size(runs))})
end
