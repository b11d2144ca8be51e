-- ARGV: now, what the mirror knows, then pairs of a last second and the numbers whose sessions would end at it.

local groups, all = {}, {}
for i = 5, (is_behind() or not understands(ARGV[3])) and 0 or #ARGV, 2 do
  local runs = parse(ARGV[i + 1])
  groups[#groups + 1] = {ends = ARGV[i], runs = runs}
  for _, run in ipairs(without(runs, all)) do all[#all + 1] = run end
  table.sort(all, function(a, b) return a[1] < b[1] end)
end

local running = sift(all, CALLED, OVER)
local rest, ended = running, {}
for _, group in ipairs(groups) do
  local told = common(group.runs, running)
  if #told > 0 then ended[#ended + 1] = group.ends .. ':' .. write(told) end
  local new = common(told, rest)
  rest = without(rest, new)
  end_sessions(group.ends, size(new))
end
if #ended > 0 then
  mark(OVER, running, true)
  append({ended = table.concat(ended, ';')})
end
save()
