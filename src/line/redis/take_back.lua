-- ARGV: now, what the mirror knows, numbers. Gives back the places of visitors whom the store had forgotten.

local numbers = (is_behind() or not understands(ARGV[3])) and {} or parse(ARGV[5])
local all = runs_of(numbers)
local returned = common(all, parse(redis.call('GET', UNSEEN) or ''))
for _, key in ipairs({WAITING, CALLED, OVER}) do returned = without(returned, sift(numbers, key)) end
if #returned > 0 then
  -- As bytes, if they came so.
  local bits = size(returned) == size(all) and numbers or returned
  stand_at_door(bits)
  mark(WAITING, bits, true)
  append({returned = write(returned)})
end
save()
