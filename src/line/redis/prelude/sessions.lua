-- Who is inside, and until when: how many sessions end in each second, and who was called with which of them.

local RUNS_TOGETHER = 512

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

-- Ends so many sessions of a second, or as many as there are.
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

-- Sessions that were renewed also stand in a set by their ends, with the instants of their calls beside it.
local function is_any_renewed() return redis.call('EXISTS', RENEWED) == 1 end

-- Returns when the session of a number ends that was renewed, as text.
local function renewed_end(number) return redis.call('ZSCORE', RENEWED, text(number)) end

local function forget_renewal(number)
  redis.call('ZREM', RENEWED, number)
  redis.call('HDEL', RENEWED_CALLS, number)
end

-- Notes whose sessions have run out; only rooms that know persons ask.
local function pass_by(item)
  if not line.persons then return end
  each_called(item, function(runs) mark(PAST, runs, true) end)
  if is_any_renewed() then
    each_called(item, function(runs)
      each(runs, function(number)
        if renewed_end(number) then mark(PAST, {{number, number}}, false) end
      end)
    end)
  end
end

local function prune_renewed()
  for _, number in ipairs(redis.call('ZRANGEBYSCORE', RENEWED, '-inf', text(now_s))) do
    forget_renewal(number)
    if line.persons then mark(PAST, {{tonumber(number), tonumber(number)}}, true) end
  end
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
  local over = run_out()
  for _, ends in ipairs(over) do
    put('in_use', get('in_use') - tonumber(redis.call('HGET', SESSIONS, ends)))
    redis.call('HDEL', SESSIONS, ends)
    put('first_end', now_s + 1)
  end
  if #over > 0 then prune_renewed() end
  local head = redis.call('LINDEX', RUNS, 0)
  while head and tonumber(string.match(head, '%d+')) <= now_s do
    pass_by(redis.call('LPOP', RUNS))
    head = redis.call('LINDEX', RUNS, 0)
  end
end

-- Returns the slots of those who were called and are not over, each once: lists of a second and runs, by second. `told` are
-- pairs of a number and the second at which its session would end; where it was renewed, the line knows better.
local function slots_of(told)
  local runs, by_number, any_renewed = {}, {}, is_any_renewed()
  for _, pair in ipairs(told) do
    local number = pair[1]
    if not by_number[number] then
      by_number[number] = any_renewed and renewed_end(number) or pair[2]
      runs[#runs + 1] = {number, number}
    end
  end
  local numbers, seconds = {}, {}
  each(sift(union(runs), CALLED, OVER), function(number)
    local ends = tonumber(by_number[number])
    if not numbers[ends] then
      numbers[ends] = {}
      seconds[#seconds + 1] = ends
    end
    push(numbers[ends], number, number)
  end)
  table.sort(seconds)
  local slots = {}
  for i, ends in ipairs(seconds) do slots[i] = {ends, numbers[ends]} end
  return slots
end

local function write_slots(slots)
  local words = {}
  for i, group in ipairs(slots) do words[i] = text(group[1]) .. ':' .. write(group[2]) end
  return table.concat(words, ';')
end
