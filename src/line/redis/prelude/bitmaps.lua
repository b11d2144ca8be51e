-- Bitmaps: bit n of a string, as SETBIT counts, stands for number n.

local WAITING, CALLED, OVER = ROOM .. 'waiting', ROOM .. 'called', ROOM .. 'over'
local DOOR, SEEN = ROOM .. 'door', ROOM .. 'seen'
local SCRATCH, GROWTH = ROOM .. 'scratch', ROOM .. 'growth'
local STEP = 4096
local WIDTH = 48

-- Does work on the scratch key, which neither replicas nor the append-only file need to see.
local function in_scratch(work)
  if redis.set_repl then redis.set_repl(redis.REPL_NONE) end
  local result = work()
  redis.call('DEL', SCRATCH)
  if redis.set_repl then redis.set_repl(redis.REPL_ALL) end
  return result
end

-- Lengthens a bitmap in steps. Left to itself, Redis would set aside twice what is needed.
local function grow(key, last)
  local need = math.floor(last / 8) + 1
  if redis.call('STRLEN', key) < need then
    redis.call('SETRANGE', GROWTH, math.ceil(need / STEP) * STEP - 1, '\0')
    redis.call('BITOP', 'OR', key, key, GROWTH)
    redis.call('DEL', GROWTH)
  end
end

local function write_long(key, first, last, on)
  local low, high = math.ceil(first / 8), math.floor((last + 1) / 8)
  redis.call('SETRANGE', key, low, string.rep(on and '\255' or '\0', high - low))
  return low * 8, high * 8 - 1
end

-- Sets or clears runs of bits: whole bytes at once, ragged edges and short runs many to a command.
local function mark(key, runs, on)
  if #runs == 0 then return end
  if on then grow(key, runs[#runs][2]) end
  local top, fields = redis.call('STRLEN', key) * 8 - 1, {}
  if top < 0 then return end
  local function flush()
    if #fields > 0 then redis.call('BITFIELD', key, unpack(fields)) end
    fields = {}
  end
  local function edge(first, last)
    for at = first, last, WIDTH do
      local bits = math.min(WIDTH, last - at + 1)
      local n = #fields
      fields[n + 1], fields[n + 2], fields[n + 3] = 'SET', 'u' .. bits, text(at)
      fields[n + 4] = on and text(2 ^ bits - 1) or '0'
      if n > 2000 then flush() end
    end
  end
  for _, run in ipairs(runs) do
    local first, last = run[1], math.min(run[2], top)
    if last - first > 2 * WIDTH then
      local low, high = write_long(key, first, last, on)
      edge(first, low - 1)
      edge(high + 1, last)
    else
      edge(first, last)
    end
  end
  flush()
end

local function push_byte(runs, byte, first, room)
  local found = 0
  for bit = 0, 7 do
    local weight = 2 ^ (7 - bit)
    if byte >= weight then
      byte = byte - weight
      if found < room then
        push(runs, first + bit, first + bit)
        found = found + 1
      end
    end
  end
  return found
end

-- Reads the lowest set bits of one chunk, at most `room` of them, into `runs`.
local function read_chunk(chunk, from, room, runs)
  local found, i = 0, string.find(chunk, '[^%z]')
  while i and found < room do
    local first, byte, bytes = (from + i - 1) * 8, string.byte(chunk, i), 1
    if byte == 255 and room - found >= 8 then
      local solid = (string.find(chunk, '[^\255]', i) or #chunk + 1) - i
      bytes = math.min(solid, math.floor((room - found) / 8))
      push(runs, first, first + bytes * 8 - 1)
      found = found + bytes * 8
    else
      found = found + push_byte(runs, byte, first, room - found)
    end
    i = string.find(chunk, '[^%z]', i + bytes)
  end
  return found
end

-- Returns the lowest set bits, at most `limit` of them.
local function lowest(key, limit)
  local runs, found = {}, 0
  local from = math.floor(redis.call('BITPOS', key, 1) / 8)
  while from >= 0 and found < limit do
    local chunk = redis.call('GETRANGE', key, from, from + STEP - 1)
    if chunk == '' then break end
    found = found + read_chunk(chunk, from, limit - found, runs)
    from = from + STEP
  end
  return runs
end

-- Returns those of `runs` that are in the bitmap `key` and in none of the further ones.
local function sift(runs, key, ...)
  if #runs == 0 then return runs end
  local others = {...}
  return in_scratch(function()
    mark(SCRATCH, runs, true)
    redis.call('BITOP', 'AND', SCRATCH, SCRATCH, key)
    local kept = lowest(SCRATCH, math.huge)
    for _, other in ipairs(others) do
      redis.call('DEL', SCRATCH)
      mark(SCRATCH, kept, true)
      redis.call('BITOP', 'AND', SCRATCH, SCRATCH, other)
      kept = without(kept, lowest(SCRATCH, math.huge))
    end
    return kept
  end)
end
