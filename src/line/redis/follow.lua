-- ARGV: now, what the mirror knows. Returns the kind of news, then:
-- 'entries': the epoch, the first one's place, the entries;
-- 'roll': all that is durable, and the log after the last known link of the chain;
-- 'behind': nothing.

local mine, seq = epoch(), get('seq')
local theirs, known = tonumber(ARGV[2]), tonumber(ARGV[3])
local first_kept = seq + 1 - redis.call('LLEN', LOG)
save()

local function log_after(place)
  local from = math.max(place + 1, first_kept)
  if from > seq then return {text(from), {}} end
  return {text(from), redis.call('LRANGE', LOG, from - first_kept, -1)}
end

if is_behind() then
  return {'behind'}
elseif theirs == mine and known + 1 >= math.max(first_kept, get('began') or 0) then
  local new = log_after(known)
  return {'entries', text(mine), new[1], new[2]}
end
local new = log_after(get('link_seq'))
return {'roll', redis.call('HGETALL', KEYS[1]), redis.call('GET', WAITING) or '', redis.call('GET', CALLED) or '',
        redis.call('GET', OVER) or '', redis.call('GET', UNSEEN) or '', redis.call('HGETALL', SESSIONS),
        redis.call('LRANGE', RUNS, 0, -1), redis.call('ZRANGE', RENEWED, 0, -1, 'WITHSCORES'),
        redis.call('HGETALL', RENEWED_CALLS), new[1], new[2], text(now)}
