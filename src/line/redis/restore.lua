-- ARGV: now, the epoch, seq and issued that the line was read with; 1 if an epoch began;
-- the fields as pairs, their count first; waiting, called, over, unseen; the sessions as triples of
-- last second, count and runs, their count first; the log. Returns 0 where the line has changed since it
-- was read: the merge is then made anew.

if text(epoch()) ~= ARGV[2] or line.seq ~= ARGV[3] or line.issued ~= ARGV[4] then
  save()
  return 0
end

local at = 6
local function take()
  at = at + 1
  return ARGV[at - 1]
end

for _, name in ipairs({'phase', 'interval_us', 'burst', 'total_active_users', 'session_duration_s', 'grace_ms',
                       'message', 'configured'}) do
  redis.call('HDEL', KEYS[1], name)
  line[name], changed[name] = nil, nil
end
for _ = 1, tonumber(take()) do
  local name = take()
  put(name, take())
end
put('told', line.issued)

for _, key in ipairs({WAITING, CALLED, OVER, UNSEEN}) do
  local value = take()
  if value == '' then redis.call('DEL', key) else redis.call('SET', key, value) end
end

for _, ends in ipairs(redis.call('HKEYS', SESSIONS)) do redis.call('DEL', ROOM .. 'runs:' .. ends) end
redis.call('DEL', SESSIONS, ENDS, LOG)
local in_use = 0
for _ = 1, tonumber(take()) do
  local ends, count, runs = take(), take(), take()
  in_use = in_use + tonumber(count)
  redis.call('ZADD', ENDS, ends, ends)
  redis.call('HSET', SESSIONS, ends, count)
  if runs ~= '' then redis.call('SET', ROOM .. 'runs:' .. ends, runs) end
end
put('in_use', in_use)
while at <= #ARGV do redis.call('RPUSH', LOG, take()) end

if ARGV[5] == '1' then
  redis.call('DEL', SEEN)
  put('grace_at', now)
  put('grace_issued', line.issued)
end
save()
return 1
