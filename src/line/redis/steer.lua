-- ARGV: now, what to change, and to what. Limits come as six words in the order of LIMITS.

local LIMITS = {'interval_us', 'burst', 'total_active_users', 'session_duration_s', 'grace_ms',
                'floor_interval_us'}
local kind = ARGV[2]

-- Changes settings; logs them if that makes a difference.
local function change(fields)
  local differs = false
  regulate(function()
    for name, value in pairs(fields) do
      if line[name] ~= value then
        put(name, value)
        differs = true
      end
    end
  end)
  if differs then append({settings = true}) end
end

local function limits()
  local fields = {}
  for i, name in ipairs(LIMITS) do fields[name] = ARGV[2 + i] end
  return fields
end

local function configure()
  local configured = table.concat({unpack(ARGV, 3, 8)}, ' ')
  if line.configured == configured then return end
  local fields = limits()
  fields.configured = configured
  fields.phase = line.phase or 'open'
  change(fields)
end

local function set_message(message)
  if message then
    change({message = message})
  elseif line.message then
    redis.call('HDEL', KEYS[1], 'message')
    line.message = nil
    append({settings = true})
  end
end

local function admit(count)
  local limit = math.min(count, free_sessions())
  local called = limit > 0 and in_scratch(function()
    gather_callable()
    return lowest(SCRATCH, limit)
  end) or {}
  if #called > 0 then call_in(called, true) end
end

if kind == 'configure' then
  configure()
elseif kind == 'limits' then
  if line.phase then change(limits()) end
elseif kind == 'phase' then
  if line.phase then change({phase = ARGV[3]}) end
elseif kind == 'message' then
  if line.phase then set_message(ARGV[3]) end
elseif kind == 'admit' then
  admit(tonumber(ARGV[3]))
elseif kind == 'reset' then
  give_up('left', lowest(WAITING, math.huge))
end
save()
