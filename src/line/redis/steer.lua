-- ARGV: now, what to change, and to what. Limits come as words in the order of LIMITS. Returns 0 where limits that were
-- to be revised are others meanwhile.

local kind = ARGV[2]

-- Changes settings; logs them if that makes a difference, and with them the interval that the rate begins at.
local function change(fields, pace)
  local differs = false
  regulate(function()
    for name, value in pairs(fields) do
      if line[name] ~= value then
        put(name, value)
        differs = true
      end
    end
    if pace then
      put('pace', pace)
      put('paced_at', now)
    end
  end)
  if differs then append({settings = true, pace = pace and text(pace)}) end
end

local function limits(from)
  local fields = {}
  for i, name in ipairs(LIMITS) do fields[name] = ARGV[(from or 2) + i] end
  return fields
end

local function are_in_force(fields)
  for name, value in pairs(fields) do
    if line[name] ~= value then return false end
  end
  return true
end

local function revise()
  local from, to = limits(2), limits(2 + #LIMITS)
  if not line.phase or not (are_in_force(from) or are_in_force(to)) then return false end
  change(to)
  return true
end

-- The longest interval, where the rate adapts.
local function floor_of(fields)
  local floor, least = tonumber(fields.floor_interval_us), tonumber(fields.interval_us)
  return floor and least ~= 0 and least ~= MAX_INTERVAL_US and math.max(floor, least) or nil
end

local function configure()
  local configured = table.concat({unpack(ARGV, 3, 2 + #LIMITS)}, ' ')
  if line.configured == configured then return end
  local fields = limits()
  fields.configured = configured
  fields.phase = line.phase or 'open'
  change(fields, not line.phase and floor_of(fields) or nil)
end

local function set_message(message)
  if message then
    change({message = message})
  elseif line.message then
    drop('message')
    append({settings = true})
  end
end

local function promise(text)
  local stage = line.phase and stage()
  if line.pending or not (stage == 'early' or stage == 'gathering') then return end
  put('pending', text)
  put('pending_above', line.issued)
  append({draw = 'p ' .. text})
end

local function forgo()
  if not line.pending then return end
  for _, name in ipairs({'pending', 'pending_above', 'pending_closed'}) do drop(name) end
  append({draw = 'f'})
end

local function admit(count)
  if not has_order() then return end
  tend_muster()
  tend_door()
  local limit = math.min(count, free_sessions())
  local called = limit > 0 and lowest_callable(math.min(limit, CALL_LIMIT)) or {}
  if #called > 0 then call_in(called, true) end
end

-- Returns those who wait of those whom the store had forgotten once.
local function returned()
  local unseen = redis.call('GET', UNSEEN)
  return not unseen and {} or in_scratch(function()
    bases[SCRATCH] = base(WAITING)
    mark(SCRATCH, {from = 0, bytes = unseen}, true)
    redis.call('BITOP', 'AND', SCRATCH, SCRATCH, WAITING)
    return {from = base(SCRATCH), bytes = redis.call('GET', SCRATCH)}
  end)
end

-- Takes every place. The entry names all numbers, of whom those who waited gave up.
local function reset()
  local waiting = redis.call('BITCOUNT', WAITING)
  if waiting == 0 then return end
  local first = base(WAITING) * 8 + redis.call('BITPOS', WAITING, 1)
  put('tally_left', get('tally_left') + waiting)
  mark(OVER, returned(), true)
  redis.call('DEL', WAITING)
  append({left = write({{first, get('issued')}})})
end

local could = true
if kind == 'configure' then
  configure()
elseif kind == 'limits' then
  if line.phase then change(limits()) end
elseif kind == 'revise' then
  could = revise()
elseif kind == 'phase' then
  if line.phase then change({phase = ARGV[3]}) end
elseif kind == 'message' then
  if line.phase then set_message(ARGV[3]) end
elseif kind == 'admit' then
  admit(tonumber(ARGV[3]))
elseif kind == 'promise' then
  promise(ARGV[3])
elseif kind == 'forgo' then
  forgo()
elseif kind == 'reset' then
  reset()
end
save()
return could and 1 or 0
