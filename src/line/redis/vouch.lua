-- ARGV: now, gateway, lease in ms, who is here, who went, the entry that its mirror has come to. Returns whether the
-- gateway was known and its numbers taken.

local mine = here_key(ARGV[2])
local known = redis.call('HEXISTS', LEASES, ARGV[2])
-- First the own lease: a gateway that was only slow still has its visitors.
redis.call('HSET', LEASES, ARGV[2], text(now + tonumber(ARGV[3]) * 1000))
drop_expired_leases()
if not understands(ARGV[6]) then
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
