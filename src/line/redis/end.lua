-- ARGV: now, what the mirror knows, then pairs of a last second and the numbers whose sessions would end at it.

local told = {}
for i = 5, (is_out_of_step() or not understands(ARGV[3])) and 0 or #ARGV, 2 do
  each(parse(ARGV[i + 1]), function(number) told[#told + 1] = {number, ARGV[i]} end)
end

-- Those who have run out are among them, here and in state.rs: none is counted any more at the second of their end. Only
-- where a clock was put back and sessions end at that second once more, an end that comes as late frees one of those slots,
-- for what is left until that second.
local slots = slots_of(told)
for _, group in ipairs(slots) do
  end_sessions(text(group[1]), size(group[2]))
  mark(OVER, group[2], true)
  if is_any_renewed() then each(group[2], function(number) forget_renewal(text(number)) end) end
end
if #slots > 0 then append({ended = write_slots(slots)}) end
save()
