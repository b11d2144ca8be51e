-- ARGV: now, gateway, lease in ms, who is here, who went, the entry that its mirror has come to, that one's epoch, the
-- interval it wishes for or nothing, the tick's serial, 1 if all are named who are here. Returns whether the gateway was
-- heard. One of an older epoch only has its lease renewed; it says again who is here once it knows of the new one.

local gateway = ARGV[2]
local lease = redis.call('HGET', LEASES, gateway)
local serial, answer = string.match(lease or '', '^%d+ (%d+) (%d)$')
-- A later tick has overtaken this one.
if serial and tonumber(serial) > tonumber(ARGV[9]) then return 0 end

local function renew(answered)
  redis.call('HSET', LEASES, gateway, text(now + tonumber(ARGV[3]) * 1000) .. ' ' .. ARGV[9] .. ' ' .. answered)
end

-- First the own lease: a gateway that was only slow still has its visitors.
renew(0)
if ARGV[8] == '' then redis.call('HDEL', WISHES, gateway) else redis.call('HSET', WISHES, gateway, ARGV[8]) end
-- A tick whose answer was lost comes again.
if serial == ARGV[9] then
  renew(answer)
  return tonumber(answer)
end

local theirs = tonumber(ARGV[7])
local is_understood = understands(ARGV[6]) and (theirs == 0 or theirs >= epoch())
if not lease and not is_understood then redis.call('SADD', UNANSWERED, gateway) end
drop_expired_leases()
if not is_understood then
  save()
  return 0
end

local is_all, gone = ARGV[10] == '1', parse(ARGV[5])
if is_all then
  if lease and has_answered(gateway) then call_muster() end
  redis.call('SREM', UNANSWERED, gateway)
end
local is_heard = has_answered(gateway)
local here = up_to(get('issued'), parse(ARGV[4]))
if is_heard then come(here) else stay(here) end
leave_door(gone)
-- What one says who was not known is of before its lease ran out: others may have named them since.
if is_heard and lease and not is_all then go(gone) end
settle()
local answered = is_heard and (lease or is_all) and 1 or 0
renew(answered)
save()
return answered
