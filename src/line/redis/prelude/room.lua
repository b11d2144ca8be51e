-- The room's fields, as text in one hash, and its log. A verb works on `line` and saves at its end.

local LEASES, SESSIONS, LOG = ROOM .. 'leases', ROOM .. 'sessions', ROOM .. 'log'
local UNSEEN, RUNS, PAST = ROOM .. 'unseen', ROOM .. 'runs', ROOM .. 'past'
local UNANSWERED, WISHES = ROOM .. 'unanswered', ROOM .. 'wishes'
local RUNS_TOGETHER = 512

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

-- The runs called together stand in a list: their last second, how long before it the first call was, the lowest number,
-- then for each call in letters how long after the one before it was, then who was called, `called`, counted from the lowest
-- of them; before that how many were passed over since the last one, if any were; nothing if it was just the next one. The
-- first of these called 30, the second one more, and the third two after two who were away:
--   1795000600|599900000|12|`0-28,33CAU`CAU`2+0-1
-- Those that have run out leave the list when they reach its head; readers pass them over.
local function note_runs(runs, called, ends)
  local first, top = runs[1][1], get('run_top')
  local tail = top and first > top and now >= get('run_us') and redis.call('LINDEX', RUNS, -1) or ''
  local goes_on = string.match(tail, '^%d+') == text(ends) and #tail < RUNS_TOGETHER
  if goes_on and first > top + 1 then
    called = text(first - top - 1) .. '+' .. called
  elseif called == '0' then
    called = ''
  end
  if goes_on then
    redis.call('LSET', RUNS, -1, tail .. letters(now - get('run_us')) .. called)
  else
    redis.call('RPUSH', RUNS, table.concat({text(ends), text(ends * 1000000 - now), text(first), letters(0) .. called}, '|'))
  end
  put('run_top', runs[#runs][2])
  put('run_us', now)
end

local function end_sessions(ends, count)
  local in_use = tonumber(redis.call('HGET', SESSIONS, ends) or 0)
  local ended = math.min(in_use, count)
  if ended > 0 then
    redis.call('HSET', SESSIONS, ends, text(in_use - ended))
    put('in_use', get('in_use') - ended)
  end
end

-- Returns the seconds that are over of those in which sessions end. None is before `first_end`.
local function run_out()
  local first, over = get('first_end'), {}
  if not first or first > now_s then return over end
  if now_s - first > redis.call('HLEN', SESSIONS) then
    for _, ends in ipairs(redis.call('HKEYS', SESSIONS)) do
      if tonumber(ends) <= now_s then over[#over + 1] = ends end
    end
  else
    for second = first, now_s do
      if redis.call('HEXISTS', SESSIONS, text(second)) == 1 then over[#over + 1] = text(second) end
    end
  end
  return over
end

local function active()
  local count = get('in_use')
  for _, ends in ipairs(run_out()) do count = count - tonumber(redis.call('HGET', SESSIONS, ends)) end
  return count
end

-- Visits the sets of who was called in an item of the list.
local function each_called(item, visit)
  local low, calls = string.match(item, '^%d+|%-?%d+|(%d+)|(.*)$')
  local from = tonumber(low)
  for call in string.gmatch(calls, '[`-\127]([^@-\127]*)') do
    local passed_over, called = string.match(call, '^(%d+)%+(.*)')
    if passed_over then from, call = from + tonumber(passed_over), called end
    local runs = parse(call == '' and '0' or call)
    for _, run in ipairs(runs) do run[1], run[2] = run[1] + from, run[2] + from end
    from = runs[#runs][2] + 1
    visit(runs)
  end
end

-- Notes whose sessions have run out; only rooms that know persons ask.
local function pass_by(item)
  if not line.persons then return end
  each_called(item, function(runs) mark(PAST, runs, true) end)
end

-- Takes from the list those that have run out behind longer ones. A clock that was put back lets sessions end at a second
-- once more in which others did: those must not be there to be read as called again.
local function drop_run_out()
  local items = redis.call('LRANGE', RUNS, 0, -1)
  redis.call('DEL', RUNS)
  for _, item in ipairs(items) do
    if redis.call('HEXISTS', SESSIONS, string.match(item, '%d+')) == 1 then
      redis.call('RPUSH', RUNS, item)
    else
      pass_by(item)
    end
  end
  drop('run_top')
end

local function begin_sessions(runs, called, ends)
  local count, first_end = size(runs), get('first_end') or ends
  if ends < first_end then drop_run_out() end
  redis.call('HINCRBY', SESSIONS, text(ends), text(count))
  put('first_end', math.min(first_end, ends))
  note_runs(runs, called, ends)
  put('in_use', get('in_use') + count)
end

local function prune_sessions()
  for _, ends in ipairs(run_out()) do
    put('in_use', get('in_use') - tonumber(redis.call('HGET', SESSIONS, ends)))
    redis.call('HDEL', SESSIONS, ends)
    put('first_end', now_s + 1)
  end
  local head = redis.call('LINDEX', RUNS, 0)
  while head and tonumber(string.match(head, '%d+')) <= now_s do
    pass_by(redis.call('LPOP', RUNS))
    head = redis.call('LINDEX', RUNS, 0)
  end
end

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

-- Logs what happened. The entry's place in the list says its `seq`. Instants count from the second of the
-- entry's epoch; each epoch but the first begins with the entry that has `unseen` numbers.
local function append(entry)
  put('seq', get('seq') + 1)
  put('told', line.issued)
  if entry.draw then put('step_seq', line.seq) end
  if entry.settings then put('set_at', now) end
  local ends = entry.ends and text(entry.ends - now_s) or ''
  local tat = entry.tat and text(entry.tat - now) or ''
  local words = {text(now - epoch() * 1000000), line.issued, entry.called or '', ends, tat, entry.by_hand or '', entry.left or '',
                 entry.lapsed or '', entry.returned or '', entry.unseen or '', entry.ended or '', entry.draw or '',
                 entry.pace or ''}
  local tail = entry.settings and '|' .. settings_text() or ''
  local told = table.concat(words, '|')
  redis.call('RPUSH', LOG, tail == '' and string.gsub(told, '|+$', '') or told .. tail)
  redis.call('LTRIM', LOG, -LOG_CAP, -1)
  prune_sessions()
  give_up_unseen()
end

local function tally(name, runs) put('tally_' .. name, get('tally_' .. name) + size(runs)) end

-- Takes places: of those who `left` or `lapsed`. Whoever neither waits nor was called gave up, so that need not
-- be remembered, but of those whom the store had forgotten once.
local function give_up(kind, runs)
  if #runs == 0 then return end
  mark(WAITING, runs, false)
  mark(OVER, sift(runs, UNSEEN), true)
  tally(kind, runs)
  append({[kind] = write(runs)})
end
