-- ARGV: now, a link, until when it is good in ms. Marks it as used; returns 1 where it was not before. The whole memory
-- goes when the last link in it is good no more.

local LINKS = ROOM .. 'links'
local now_ms, till = math.floor(now / 1000), tonumber(ARGV[3])
redis.call('ZREMRANGEBYSCORE', LINKS, '-inf', '(' .. text(now_ms))
save()
if redis.call('ZCARD', LINKS) >= LINKS_CAP then return 0 end
local is_new = redis.call('ZADD', LINKS, 'NX', text(till), ARGV[2])
local left = math.max(1, till - now_ms + 1000)
if redis.call('PTTL', LINKS) < left then redis.call('PEXPIRE', LINKS, text(left)) end
return is_new
