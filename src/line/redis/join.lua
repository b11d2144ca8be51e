-- ARGV: now, count. Gives consecutive numbers; calls the first of them where nobody callable waits. A room that
-- was not made, or was lost and is not restored yet, gives none.

if not line.phase then return redis.error_reply('NOTMADE ' .. KEYS[1] .. ' is not configured') end

local count = tonumber(ARGV[2])
local first, admitted, ends = join(count)
save()
return {text(epoch()), text(first), text(count), text(admitted), text(ends), text(now)}
