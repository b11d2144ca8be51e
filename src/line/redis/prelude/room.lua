-- The room's fields, as text in one hash. A verb works on `line` and saves at its end.

local LEASES, SESSIONS, LOG = ROOM .. 'leases', ROOM .. 'sessions', ROOM .. 'log'
local UNSEEN, RUNS, PAST = ROOM .. 'unseen', ROOM .. 'runs', ROOM .. 'past'
local RENEWED, RENEWED_CALLS = ROOM .. 'renewed', ROOM .. 'renewed_calls'
local UNANSWERED, WISHES = ROOM .. 'unanswered', ROOM .. 'wishes'

local line, changed = {}, {}
do
  local fields = redis.call('HGETALL', KEYS[1])
  for i = 1, #fields, 2 do line[fields[i]] = fields[i + 1] end
end

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end
local now_s = math.floor(now / 1000000)

local function get(name) return tonumber(line[name]) end

local function put(name, value)
  line[name] = type(value) == 'number' and text(value) or value
  changed[name] = true
end

local function save()
  local fields = {}
  for name in pairs(changed) do
    fields[#fields + 1] = name
    fields[#fields + 1] = line[name]
  end
  if #fields > 0 then redis.call('HSET', KEYS[1], unpack(fields)) end
  changed = {}
end

if not next(line) then
  put('layout', LAYOUT)
  put('eras', text(math.max(1, math.min(now_s, MAX_EPOCH))) .. ':0')
  put('door_at', now)
  put('grace_at', now)
  put('mustered_at', now)
  put('link', string.rep('0', 64))
  for _, name in ipairs({'seq', 'issued', 'told', 'tat', 'pace', 'paced_at', 'set_at', 'in_use', 'door_old', 'grace_issued',
                         'link_seq', 'drawn_seq', 'step_seq', 'tally_called', 'tally_left', 'tally_lapsed'}) do put(name, 0) end
end
if line.layout ~= LAYOUT then
  return redis.error_reply('LAYOUT of ' .. KEYS[1] .. ' is not ' .. LAYOUT .. ', the one this program writes')
end

local function epoch() return tonumber(string.match(line.eras, '(%d+):%d+$')) end

-- Tells whether a mirror knows more than this line, its epoch, seq and issued being ARGV[2] to [4]: then
-- something was lost, and nothing may be appended in its place.
local function is_behind()
  local theirs, mine = tonumber(ARGV[2]), epoch()
  local knows_more = tonumber(ARGV[3]) > get('seq') or tonumber(ARGV[4]) > get('issued')
  return theirs > mine or (theirs == mine and knows_more)
end

local function drop(name)
  redis.call('HDEL', KEYS[1], name)
  line[name], changed[name] = nil, nil
end

-- Tells whether a gateway whose mirror has come to the entry `seq` means the same people by the same places: one
-- that has not heard of a draw does not.
local function understands(seq) return tonumber(seq) >= get('drawn_seq') end

-- As Roll::stale_up_to: the last place of an epoch of which no ticket is honoured any more.
local function stale_up_to()
  local above, is_newest = 0, false
  for second, last in string.gmatch(line.eras, '(%d+):(%d+)') do
    is_newest = tonumber(second) + UNSEEN_S <= now_s
    if is_newest then above = tonumber(last) end
  end
  if is_newest then return get('issued') end
  for first, last in string.gmatch(',' .. (line.draws or ''), ',(%d+) (%d+) ') do
    if tonumber(first) <= above and above < tonumber(last) then return tonumber(first) - 1 end
  end
  return above
end

-- Gives up the places that may have been given unseen and for which nobody can come back any more: that is, remembers
-- nothing of them.
local function give_up_unseen()
  local last = stale_up_to()
  if last <= (get('unseen_above') or 0) or redis.call('EXISTS', UNSEEN) == 0 then return end
  mark(UNSEEN, {{0, last}}, false)
  if redis.call('BITPOS', UNSEEN, 1) < 0 then redis.call('DEL', UNSEEN) end
  put('unseen_above', last)
end

local function settings_text()
  local words = {line.phase}
  for _, name in ipairs(LIMITS) do words[#words + 1] = line[name] end
  words[#words + 1] = line.configured
  words[#words + 1] = line.message
  return table.concat(words, ' ')
end

-- The interval in force: that of the limits, or longer, as far as the rate has adapted.
local function interval_in_force()
  local least, most = get('interval_us'), tonumber(line.floor_interval_us)
  if not most or least == 0 or least == MAX_INTERVAL_US then return least end
  return math.max(math.min(get('pace'), most), least)
end

-- Lets `change` set other limits, and carries the credit over as admission.rs does: none is granted, and a rest
-- grows no longer.
local function regulate(change)
  local old, old_burst = interval_in_force(), get('burst')
  change()
  local new, burst = interval_in_force(), get('burst')
  if not old or new == 0 or (old == new and old_burst == burst) then return end
  local ahead, credit, rest = math.max(0, get('tat') - now), 0, 0
  if old == 0 then
    credit = old_burst
  elseif old == MAX_INTERVAL_US then
    rest = ahead
  else
    credit, rest = math.max(0, old_burst - ahead / old), math.max(0, ahead - old_burst * old)
  end
  local rest_interval = new == MAX_INTERVAL_US and STOPPED_INTERVAL_US or new
  if rest_interval < old and old ~= MAX_INTERVAL_US then rest = rest / old * rest_interval end
  local owed = new == MAX_INTERVAL_US and 0 or (burst - math.min(credit, burst)) * new
  put('tat', math.min(now + math.ceil(owed + rest), MAX_TAT_US))
end

-- Tells whether what a mirror says is of another state of the line than this: it knows more, or is of an older
-- epoch and has yet to tell what it remembers. Then nothing is done for it, and it says all again.
local function is_out_of_step()
  local theirs = tonumber(ARGV[2])
  return is_behind() or (theirs > 0 and theirs < epoch())
end
