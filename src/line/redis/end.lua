-- ARGV: now, what the mirror knows, then pairs of a last second and the numbers whose sessions would end at it.

local groups, all = {}, {}
for i = 5, (is_out_of_step() or not understands(ARGV[3])) and 0 or #ARGV, 2 do
  local runs = parse(ARGV[i + 1])
  groups[#groups + 1] = {ends = ARGV[i], runs = runs}
  for _, run in ipairs(runs) do all[#all + 1] = run end
end

-- Who has a session, and whether it still runs. Those who have run out are among them, here and in state.rs: none is
-- counted any more at the second of their end. Only where a clock was put back and sessions end at that second once
-- more, an end that comes as late frees one of those slots, for what is left until that second.
local running, runs_on = sift(union(all), CALLED, OVER), {}
each(running, function(number) runs_on[number] = true end)

local ended = {}
for _, group in ipairs(groups) do
  local told, new = {}, 0
  each(group.runs, function(number)
    if runs_on[number] == nil then return end
    push(told, number, number)
    if runs_on[number] then new = new + 1 end
    runs_on[number] = false
  end)
  if #told > 0 then ended[#ended + 1] = group.ends .. ':' .. write(told) end
  end_sessions(group.ends, new)
end
if #ended > 0 then
  mark(OVER, running, true)
  append({ended = table.concat(ended, ';')})
end
save()
