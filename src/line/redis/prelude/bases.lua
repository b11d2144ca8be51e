-- Where the bitmaps begin. Who waits, who is here and who was seen have one base, which follows the lowest
-- number that may wait, so that a long line costs no more than those still in it. The door has its own: it is
-- short, and at the end of the line.

-- The bitmaps whose base is that of the line.
local OF_LINE = {WAITING, SEEN, HERE, TWICE, BEFORE, BACK}

for _, key in ipairs(OF_LINE) do bases[key] = get('base') or 0 end
bases[DOOR] = get('door_base') or 0

-- How many bytes of a dead head are worth cutting off, at the least, and how much of the whole: all of it is copied.
local DEAD, DEAD_PART = 1024, 64

local function rebase_line(to)
  for _, key in ipairs(OF_LINE) do rebase(key, to) end
  put('base', to)
end

-- Cuts off the head of the line, in which nobody waits, nor can come back to wait.
local function follow_line()
  local head = redis.call('BITPOS', WAITING, 1)
  local first = head < 0 and get('issued') or base(WAITING) * 8 + head
  local worth = math.max(DEAD, redis.call('STRLEN', WAITING) / DEAD_PART)
  if math.floor(first / 8) - base(WAITING) < worth then return end
  local unseen = redis.call('BITPOS', UNSEEN, 1)
  local to = math.floor((unseen < 0 and first or math.min(first, unseen)) / 8)
  if to - base(WAITING) >= worth then rebase_line(to) end
end

local function stand_at_door(set)
  local first = set.from or math.floor(set[1][1] / 8)
  if redis.call('EXISTS', DOOR) == 0 then bases[DOOR] = first end
  if first < base(DOOR) then rebase(DOOR, first) end
  put('door_base', base(DOOR))
  mark(DOOR, set, true)
end

-- Counts all who wait as at the door.
local function all_at_door()
  redis.call('BITOP', 'OR', DOOR, WAITING)
  bases[DOOR] = base(WAITING)
  put('door_base', base(DOOR))
end

local function leave_door(set)
  mark(DOOR, set, false)
  if redis.call('EXISTS', BACK) == 1 then mark(BACK, set, false) end
end

-- Takes those up to `last` from the door, but for those who are back since the last mark.
local function clear_door(last)
  mark(DOOR, {{0, last}}, false)
  rebase(DOOR, math.max(base(DOOR), math.floor((last + 1) / 8)))
  if redis.call('BITPOS', DOOR, 1) < 0 then redis.call('DEL', DOOR) end
  put('door_base', base(DOOR))
  local back = redis.call('GET', BACK)
  if back then stand_at_door({from = base(BACK), bytes = back}) end
  redis.call('DEL', BACK)
end

-- Takes from the door who has stood there for long enough.
local function tend_door()
  if now < get('door_at') + DOOR_US then return end
  clear_door(get('door_old'))
  put('door_old', line.issued)
  put('door_at', now)
end
