-- ARGV: now, gateway, lease in ms, who is here, who went, the entry that its mirror has come to, that one's epoch, and the
-- interval it wishes for or nothing. Returns whether the gateway was known and its numbers taken. One of an older epoch
-- only has its lease renewed; it says again who is here once it knows of the new one.

local mine = here_key(ARGV[2])
local known = redis.call('HEXISTS', LEASES, ARGV[2])
-- First the own lease: a gateway that was only slow still has its visitors.
redis.call('HSET', LEASES, ARGV[2], text(now + tonumber(ARGV[3]) * 1000))
if ARGV[8] == '' then redis.call('HDEL', WISHES, ARGV[2]) else redis.call('HSET', WISHES, ARGV[2], ARGV[8]) end
drop_expired_leases()
local theirs = tonumber(ARGV[7])
if not understands(ARGV[6]) or (theirs > 0 and theirs < epoch()) then
  save()
  return 0
end
redis.call('SREM', UNSETTLED, ARGV[2])

local here = up_to(get('issued'), parse(ARGV[4]))
mark(mine, here, true)
mark(SEEN, here, true)
mark(DOOR, here, false)

local gone = parse(ARGV[5])
mark(mine, gone, false)
mark(DOOR, gone, false)
save()
return known
