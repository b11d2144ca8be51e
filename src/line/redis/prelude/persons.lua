-- Which number each person has, where one person holds one place: small hashes, so that Redis packs them.
-- A person comes as ten bytes; the first two choose the hash, the other eight are the field.

local PERSONS = ROOM .. 'person:'

local function bucket_of(person)
  local high, low = string.byte(person, 1, 2)
  return PERSONS .. text((high * 256 + low) % BUCKETS)
end

local function number_of(person) return tonumber(redis.call('HGET', bucket_of(person), string.sub(person, 3))) end

-- From the first person on, the room also remembers whose session has run out.
local function set_number(person, number)
  if not line.persons then put('persons', 1) end
  redis.call('HSET', bucket_of(person), string.sub(person, 3), text(number))
end

-- Lots were drawn for these numbers. Where they stand is known by place, and only gateways can compute that.
local function is_drawn(number)
  for first, last in string.gmatch(',' .. (line.draws or ''), ',(%d+) (%d+) ') do
    if tonumber(first) <= number and number <= tonumber(last) then return true end
  end
  return false
end

local function has(key, number)
  local at = number - base(key) * 8
  return at >= 0 and redis.call('GETBIT', key, text(at)) == 1
end

local function is_called(number) return has(CALLED, number) and not has(OVER, number) end

local function holds(number) return has(WAITING, number) or is_called(number) end

local function is_forgotten(number)
  local known = has(WAITING, number) or has(CALLED, number) or has(OVER, number)
  return not known and has(UNSEEN, number)
end

-- Tells whether the place of a number is over. Who gave up has a bit only if the store had forgotten them once.
local function is_over(number)
  if has(OVER, number) or has(PAST, number) then return true end
  local stands = has(WAITING, number) or has(CALLED, number) or has(UNSEEN, number)
  return not stands and number <= get('issued')
end

-- Returns the numbers of the draws of which nobody holds a place any more: whoever had which of them, they are over.
local function spent_draws()
  local spent = {}
  for first, last in string.gmatch(',' .. (line.draws or ''), ',(%d+) (%d+) ') do
    local range = {{tonumber(first), tonumber(last)}}
    local is_held = any_of(range, WAITING) or any_of(range, CALLED, OVER, PAST) or any_of(range, UNSEEN, CALLED, OVER)
    if not is_held then spent[#spent + 1] = range[1] end
  end
  return write(union(spent))
end

local function is_in(runs, number)
  for _, run in ipairs(runs) do
    if run[1] <= number and number <= run[2] then return true end
  end
  return false
end

-- Forgets, in the next few hashes, those whose place is over. Of a draw, all are when the last of them is; that is
-- looked at once in a round.
local function sweep_persons()
  local SWEEP_BUCKETS, SWEEP_US = 2, 100000
  if not line.persons or now < (get('swept_at') or 0) + SWEEP_US then return end
  local at = get('swept') or 0
  if at == 0 then put('spent', spent_draws()) end
  local spent = parse(line.spent or '')
  for _ = 1, SWEEP_BUCKETS do
    at = (at + 1) % BUCKETS
    local key = PERSONS .. text(at)
    local pairs_of = redis.call('HGETALL', key)
    for i = 1, #pairs_of, 2 do
      local number = tonumber(pairs_of[i + 1])
      local is_past
      if is_drawn(number) then is_past = is_in(spent, number) else is_past = is_over(number) end
      if is_past then redis.call('HDEL', key, pairs_of[i]) end
    end
  end
  put('swept', at)
  put('swept_at', now)
end

local function forget_persons()
  for at = 0, BUCKETS - 1 do redis.call('UNLINK', PERSONS .. text(at)) end
end
