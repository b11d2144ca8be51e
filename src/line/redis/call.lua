-- ARGV: now, what the mirror knows. Calls the lowest numbers that are waiting and present, as many as the limits allow.
-- Returns how many of the waiting are then present, and the instant.

-- How many numbers there are from the lowest that waits to the last that was given.
local function span()
  local head = redis.call('BITPOS', WAITING, 1)
  return head < 0 and 0 or get('issued') - (base(WAITING) * 8 + head)
end

-- Puts those who are waiting and present into the scratch key.
local function gather_callable()
  bases[SCRATCH] = base(WAITING)
  local from, length = base(WAITING), redis.call('STRLEN', DOOR)
  if length > 0 and base(DOOR) + length > from then copy(SCRATCH, DOOR, from, base(DOOR) + length - from) end
  redis.call('BITOP', 'OR', SCRATCH, SCRATCH, HERE, BEFORE)
  redis.call('BITOP', 'AND', SCRATCH, SCRATCH, WAITING)
end

-- Tells whether the last count of a line of so many numbers is good: if it is long, for a while.
local function is_counted(length)
  local age = now - (get('counted_at') or now + 1)
  return length >= LONG_LINE and age >= 0 and age * COUNTED_PER_US < length
end

-- Returns how many of the waiting are present, and the lowest of them, at most `limit`. Where they are counted they have
-- been gathered for that; else only those who are to be called are looked for.
local function look_at_present(length, limit)
  if is_counted(length) then return get('present'), limit > 0 and lowest_callable(limit) or {} end
  local present, called = 0, {}
  in_scratch(function()
    gather_callable()
    present = redis.call('BITCOUNT', SCRATCH)
    if limit > 0 then called = with_bytes(lowest(SCRATCH, limit), from_scratch) end
  end)
  if length >= LONG_LINE then
    put('present', present)
    put('counted_at', now)
  end
  return present, called
end

-- Those in line since before this period of the grace time who were not seen in all of it, the first of them.
local function absent()
  return in_scratch(function()
    bases[SCRATCH] = base(WAITING)
    redis.call('BITOP', 'OR', SCRATCH, SEEN, HERE, BEFORE)
    redis.call('BITOP', 'AND', SCRATCH, SCRATCH, WAITING)
    redis.call('BITOP', 'XOR', SCRATCH, SCRATCH, WAITING)
    return with_bytes(up_to(get('grace_issued'), lowest(SCRATCH, LAPSE_LIMIT)), from_scratch)
  end)
end

-- Those whom the store had forgotten and who have not come back: the first runs of them, and whether there are more.
local function forgotten()
  if redis.call('EXISTS', UNSEEN) == 0 then return {}, false end
  local runs = in_scratch(function()
    bases[SCRATCH] = 0
    redis.call('BITOP', 'OR', SCRATCH, UNSEEN)
    for _, key in ipairs({CALLED, OVER}) do
      redis.call('BITOP', 'AND', SPARE, SCRATCH, key)
      redis.call('BITOP', 'XOR', SCRATCH, SCRATCH, SPARE)
      redis.call('DEL', SPARE)
    end
    local waiting = redis.call('GET', WAITING)
    if waiting then mark(SCRATCH, {from = base(WAITING), bytes = waiting}, false) end
    return lowest(SCRATCH, math.huge, LAPSE_LIMIT)
  end)
  local is_more = #runs > LAPSE_LIMIT
  for i = #runs, LAPSE_LIMIT + 1, -1 do runs[i] = nil end
  return runs, is_more
end

-- Lets them lapse, like anyone who was away for all of the period. Tells whether there are more of them than lapse at
-- once; the period is over when the last have.
local function lapse_forgotten()
  local lapsed, is_more = forgotten()
  if #lapsed == 0 then return false end
  mark(OVER, lapsed, true)
  append({lapsed = write(lapsed)})
  return is_more
end

local function begin_grace()
  redis.call('BITOP', 'OR', SEEN, HERE, BEFORE)
  put('grace_at', now)
  put('grace_issued', line.issued)
end

-- A period of the grace time ends when all who lapse have, at most some thousands in one tick.
local function lapse()
  local grace_ms = get('grace_ms')
  if not grace_ms or now < get('grace_at') + grace_ms * 1000 or rests() then return end
  if lapse_forgotten() then return end
  local lapsed = absent()
  if size(lapsed) < LAPSE_LIMIT then begin_grace() end
  give_up('lapsed', lapsed)
end

-- Comes to the longest interval that a gateway wishes for, at most once in a while; where none wishes, the pace stays.
local function adapt()
  local least, most = get('interval_us'), tonumber(line.floor_interval_us)
  if not most or least == 0 or least == MAX_INTERVAL_US then return end
  local wish = -1
  for _, wished in ipairs(redis.call('HVALS', WISHES)) do wish = math.max(wish, tonumber(wished)) end
  if wish < 0 then return end
  local pace = math.max(math.min(wish, most), least)
  if pace == get('pace') or now < get('paced_at') + PACE_STEP_US then return end
  regulate(function() put('pace', pace) end)
  put('paced_at', now)
  append({pace = text(pace)})
end

if is_out_of_step() then
  local present = look_at_present(span(), 0)
  save()
  return {text(present), text(now)}
end
close_entries()
tend_muster()
tend_door()
adapt()
lapse()
local length = span()
local present, called = look_at_present(length, math.min(allowance(), CALL_LIMIT))
if #called > 0 then
  present = math.max(0, present - size(called))
  if length >= LONG_LINE then put('present', present) end
  call_in(called)
elseif get('issued') > get('told') then
  append({})
end
follow_line()
sweep_persons()
save()
return {text(present), text(now)}
