-- ARGV: now, what the mirror knows, then pairs of a last second and the numbers whose sessions would end at it.

local groups, all = {}, {}
for i = 5, (is_behind() or not understands(ARGV[3])) and 0 or #ARGV, 2 do
  local runs = parse(ARGV[i + 1])
  groups[#groups + 1] = {ends = ARGV[i], runs = runs}
  for _, run in ipairs(runs) do all[#all + 1] = run end
end

-- Who has a session, and whether it still runs.
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
