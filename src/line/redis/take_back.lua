-- ARGV: now, what the mirror knows, numbers. Gives back the places of visitors whom the store had forgotten.

local numbers = (is_behind() or not understands(ARGV[3])) and {} or parse(ARGV[5])
local unseen = common(numbers, parse(redis.call('GET', UNSEEN) or ''))
local returned = unseen
for _, key in ipairs({WAITING, CALLED, OVER}) do returned = without(returned, sift(returned, key)) end
if #returned > 0 then
  mark(DOOR, returned, true)
  mark(WAITING, returned, true)
  append({returned = write(returned)})
end
save()
