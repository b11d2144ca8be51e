-- ARGV: now, count. Gives consecutive numbers; calls the first of them where nobody callable waits.

local count = tonumber(ARGV[2])
local first, admitted, ends = join(count)
save()
return {text(epoch()), text(first), text(count), text(admitted), text(ends), text(now)}
