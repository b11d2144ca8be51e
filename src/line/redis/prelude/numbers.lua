-- Sets of numbers: lists of runs {first, last} that ascend and do not touch; as text `12-40,45`. A large
-- scattered set comes as a bitmap instead: no runs, but `bytes` as SETBIT counts, from byte `from` on; as
-- text `#from:bytes`. Runs that were read from a bitmap may have both.

local function text(number) return string.format('%d', number) end

local function parse(set)
  local from, at = string.match(set, '^#(%d+):()')
  if from then return {from = tonumber(from), bytes = string.sub(set, at)} end
  local runs = {}
  for first, last in string.gmatch(set, '(%d+)%-?(%d*)') do
    runs[#runs + 1] = {tonumber(first), tonumber(last) or tonumber(first)}
  end
  return runs
end

-- Writes runs as text, counted from `zero` on if that is given: many at once, for one call that writes a thousand numbers
-- costs a third less than a thousand calls.
local function write(runs, zero)
  local PIECE = 1024
  local pieces, less = {}, zero or 0
  for from = 1, #runs, PIECE do
    local words, numbers, n = {}, {}, 0
    for i = from, math.min(from + PIECE - 1, #runs) do
      local first, last = runs[i][1], runs[i][2]
      n = n + 1
      numbers[n] = first - less
      if first == last then
        words[#words + 1] = '%d'
      else
        words[#words + 1] = '%d-%d'
        n = n + 1
        numbers[n] = last - less
      end
    end
    pieces[#pieces + 1] = string.format(table.concat(words, ','), unpack(numbers, 1, n))
  end
  return table.concat(pieces, ',')
end

-- Writes a number in digits of 32, each a letter, the lowest of another case: such numbers need nothing between them.
local function letters(number)
  local word = string.char(96 + number % 32)
  number = math.floor(number / 32)
  while number > 0 do
    word = string.char(64 + number % 32) .. word
    number = math.floor(number / 32)
  end
  return word
end

local function size(runs)
  local count = #runs
  for i = 1, count do
    local run = runs[i]
    count = count + run[2] - run[1]
  end
  return count
end

-- Adds a run that lies above all others.
local function push(runs, first, last)
  local top = runs[#runs]
  if top and top[2] + 1 == first then top[2] = last else runs[#runs + 1] = {first, last} end
end

local function each(runs, visit)
  for _, run in ipairs(runs) do
    for number = run[1], run[2] do visit(number) end
  end
end

-- Makes a set of runs in any order.
local function union(runs)
  table.sort(runs, function(a, b) return a[1] < b[1] end)
  local set = {}
  for _, run in ipairs(runs) do
    local top = set[#set]
    if top and run[1] <= top[2] + 1 then top[2] = math.max(top[2], run[2]) else set[#set + 1] = {run[1], run[2]} end
  end
  return set
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

local function is_empty(set) return #set == 0 and (set.bytes or '') == '' end

-- Cuts the bits above `last` off bytes that begin with byte `from`.
local function clip(bytes, from, last)
  local top = math.floor(last / 8) - from
  local kept = string.sub(bytes, 1, math.max(0, top + 1))
  if #kept <= top or kept == '' then return kept end
  local byte = string.byte(kept, -1)
  return string.sub(kept, 1, -2) .. string.char(byte - byte % 2 ^ (7 - last % 8))
end

-- Returns those of a set that are not above `last`.
local function up_to(last, set)
  if not set.bytes then return common(set, {{0, last}}) end
  return {from = set.from, bytes = clip(set.bytes, set.from, last)}
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
