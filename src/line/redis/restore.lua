-- ARGV: now, the epoch, seq and issued that the line was read with; 1 if an epoch begins;
-- the fields as pairs, their count first; waiting, called, over, unseen; the sessions as pairs of
-- last second and count, their runs, and of those that were renewed whose they are, the last second and the instant of the
-- call, each with its count first; the log. Returns 0 where the line has changed since it
-- was read: the merge is then made anew.
--
-- Joins that called nobody, and have no entry, do not hinder it, for in a rush they never cease. Where
-- an epoch begins, its margin covers their numbers, which come back as unseen; else they wait.

local began, read, given = ARGV[5] == '1', tonumber(ARGV[4]), get('issued')
local is_as_read = text(epoch()) == ARGV[2] and line.seq == ARGV[3]
if not is_as_read or given < read or given - read > JOIN_LIMIT then
  save()
  return 0
end

rebase_line(0)
local at, before = 6, text(epoch()) .. ':'
local function take()
  at = at + 1
  return ARGV[at - 1]
end

for _, name in ipairs({'phase', 'message', 'configured', 'pending', 'pending_above', 'pending_closed', 'rests_until',
                       'unseen_above', 'spent', 'first_end', 'run_top'}) do drop(name) end
for _, name in ipairs(LIMITS) do drop(name) end
for _ = 1, tonumber(take()) do
  local name = take()
  put(name, take())
end
put('told', line.issued)

for _, key in ipairs({WAITING, CALLED, OVER, UNSEEN}) do
  local value = take()
  if value == '' then redis.call('DEL', key) else redis.call('SET', key, value) end
end

if not began and given > get('issued') then
  mark(WAITING, {{math.max(read, get('issued')) + 1, given}}, true)
  put('issued', given)
end

redis.call('DEL', SESSIONS, RUNS, RENEWED, RENEWED_CALLS, LOG)
local in_use = 0
for _ = 1, tonumber(take()) do
  local ends, count = take(), take()
  in_use = in_use + tonumber(count)
  redis.call('HSET', SESSIONS, ends, count)
  put('first_end', math.min(get('first_end') or math.huge, tonumber(ends)))
end
for _ = 1, tonumber(take()) do redis.call('RPUSH', RUNS, take()) end
for _ = 1, tonumber(take()) do
  local number = take()
  redis.call('ZADD', RENEWED, take(), number)
  redis.call('HSET', RENEWED_CALLS, number, take())
end
put('in_use', in_use)
if line.persons then
  -- Numbers of a line that had to give way are not these.
  local above, last = string.match(',' .. line.eras, ',' .. before .. '(%d+),?%d*:?(%d*)')
  if not above or above == last then forget_persons() end
  redis.call('BITOP', 'OR', PAST, CALLED)
  for _, item in ipairs(redis.call('LRANGE', RUNS, 0, -1)) do
    each_called(item, function(runs) mark(PAST, runs, false) end)
  end
  for _, number in ipairs(redis.call('ZRANGE', RENEWED, 0, -1)) do
    mark(PAST, {{tonumber(number), tonumber(number)}}, false)
  end
end
while at <= #ARGV do redis.call('RPUSH', LOG, take()) end

if began then
  empty_attendance()
  put('began', line.seq + 1 - redis.call('LLEN', LOG))
end
save()
return 1
