-- ARGV: now, count. Gives consecutive numbers; calls the first of them where nobody callable waits.

close_entries()
local count, free = tonumber(ARGV[2]), allowance()
if free > 0 and anyone_callable() then free = 0 end

local first = get('issued') + 1
local last = first + count - 1
local admitted = math.min(free, count)
put('issued', last)
if admitted < count then
  local waiting = {{first + admitted, last}}
  mark(WAITING, waiting, true)
  mark(DOOR, waiting, true)
end

local ends = session_end()
if admitted > 0 then
  call_in({{first, first + admitted - 1}})
elseif last - get('told') > JOIN_LIMIT then
  append({})
end
save()
return {text(epoch()), text(first), text(count), text(admitted), text(ends), text(now)}
