-- Sets of numbers: lists of runs {first, last} that ascend and do not touch; as text `12-40,45`.

local function text(number) return string.format('%.0f', number) end

local function parse(set)
  local runs = {}
  for first, last in string.gmatch(set, '(%d+)%-?(%d*)') do
    runs[#runs + 1] = {tonumber(first), tonumber(last) or tonumber(first)}
  end
  return runs
end

local function write(runs)
  local parts = {}
  for i, run in ipairs(runs) do
    parts[i] = run[1] == run[2] and text(run[1]) or text(run[1]) .. '-' .. text(run[2])
  end
  return table.concat(parts, ',')
end

local function size(runs)
  local count = 0
  for _, run in ipairs(runs) do count = count + run[2] - run[1] + 1 end
  return count
end

-- Adds a run that lies above all others.
local function push(runs, first, last)
  local top = runs[#runs]
  if top and top[2] + 1 == first then top[2] = last else runs[#runs + 1] = {first, last} end
end

-- Makes a set of numbers in any order, repeated or not.
local function collect(numbers)
  table.sort(numbers)
  local runs = {}
  for i, number in ipairs(numbers) do
    if number ~= numbers[i - 1] then push(runs, number, number) end
  end
  return runs
end

local function common(a, b)
  local both, i, j = {}, 1, 1
  while a[i] and b[j] do
    local first, last = math.max(a[i][1], b[j][1]), math.min(a[i][2], b[j][2])
    if first <= last then push(both, first, last) end
    if a[i][2] < b[j][2] then i = i + 1 else j = j + 1 end
  end
  return both
end

local function without(a, b)
  local rest, j = {}, 1
  for _, run in ipairs(a) do
    local first = run[1]
    while b[j] and b[j][2] < first do j = j + 1 end
    local k = j
    while b[k] and b[k][1] <= run[2] do
      if first < b[k][1] then push(rest, first, b[k][1] - 1) end
      first = b[k][2] + 1
      k = k + 1
    end
    if first <= run[2] then push(rest, first, run[2]) end
  end
  return rest
end
