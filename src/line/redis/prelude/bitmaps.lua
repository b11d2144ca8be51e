-- Bitmaps: bit n of a string, as SETBIT counts, stands for the number 8 * base + n. The base of a bitmap
-- is how many bytes were cut off its head, because nobody in them can matter any more.

local WAITING, CALLED, OVER = ROOM .. 'waiting', ROOM .. 'called', ROOM .. 'over'
local DOOR, BACK, SEEN = ROOM .. 'door', ROOM .. 'back', ROOM .. 'seen'
local HERE, TWICE, BEFORE = ROOM .. 'here', ROOM .. 'twice', ROOM .. 'before'
local SCRATCH, SPARE, OTHER = ROOM .. 'scratch', ROOM .. 'spare', ROOM .. 'other'
local STEP, HEADER, CHUNK = 2048, 64, 4096
local WIDTH = 48
-- From this many runs on, a set is marked by its bytes rather than run by run.
local FEW = 32

-- The bases by key, in bytes; the room's fields say them.
local bases = {}
local function base(key) return bases[key] or 0 end

-- Does work on passing keys, which neither replicas nor the append-only file need to see.
local quiet_works = 0
local function quietly(work)
  if redis.set_repl then redis.set_repl(redis.REPL_NONE) end
  quiet_works = quiet_works + 1
  local result = work()
  quiet_works = quiet_works - 1
  if redis.set_repl and quiet_works == 0 then redis.set_repl(redis.REPL_ALL) end
  return result
end

local function in_scratch(work)
  return quietly(function()
    local result = work()
    redis.call('DEL', SCRATCH)
    return result
  end)
end

-- Lengthens a bitmap in steps, each a little short of a round size, for Redis adds a few bytes of its own. Left to
-- itself, it would set aside twice what is needed.
local function grow(key, need)
  if redis.call('STRLEN', key) < need then
    redis.call('SETRANGE', SPARE, math.ceil((need + HEADER) / STEP) * STEP - HEADER - 1, '\0')
    redis.call('BITOP', 'OR', key, key, SPARE)
    redis.call('DEL', SPARE)
  end
end

-- Gives a bitmap another base: cuts off its head, or puts an empty one before it.
local function rebase(key, to)
  local from = base(key)
  bases[key] = to
  if to == from or redis.call('EXISTS', key) == 0 then return end
  local bytes = redis.call('GETRANGE', key, math.max(0, to - from), -1)
  if to < from then bytes = string.rep('\0', from - to) .. bytes end
  if bytes == '' then redis.call('DEL', key) else redis.call('SET', key, bytes) end
end

-- Reads bytes of a bitmap, counted from number 0 on.
local function slice(key, from, count)
  local at = from - base(key)
  local head = string.rep('\0', math.max(0, math.min(count, -at)))
  if at + count <= 0 then return head end
  return head .. redis.call('GETRANGE', key, math.max(0, at), at + count - 1)
end

-- Copies bytes of a bitmap, counted from number 0 on, into a key of their own.
local function copy(to, key, from, count) redis.call('SET', to, slice(key, from, count)) end

local function write_long(key, first, last, on)
  local low, high = math.ceil(first / 8), math.floor((last + 1) / 8)
  redis.call('SETRANGE', key, low, string.rep(on and '\255' or '\0', high - low))
  return low * 8, high * 8 - 1
end

-- Sets or clears runs of bits: whole bytes at once, ragged edges and short runs many to a command.
local function mark_runs(key, runs, on)
  local shift = base(key) * 8
  if on then grow(key, math.floor((runs[#runs][2] - shift) / 8) + 1) end
  local top, fields = redis.call('STRLEN', key) * 8 - 1, {}
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
    local first, last = math.max(0, run[1] - shift), math.min(run[2] - shift, top)
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

-- Sets or clears the bits of a set that has its bytes: of all the bitmap where the set is a large part of it, so that
-- nothing but the set passes through here; else of the bytes that the set has, for a line may be a thousand times as long.
local function mark_bytes(key, set, on)
  local at = set.from - base(key)
  local bytes = at < 0 and string.sub(set.bytes, 1 - at) or set.bytes
  at = math.max(0, at)
  if not on then bytes = string.sub(bytes, 1, math.max(0, redis.call('STRLEN', key) - at)) end
  if bytes == '' then return end
  if on then grow(key, at + #bytes) end
  if #bytes * 8 > redis.call('STRLEN', key) then
    redis.call('SETRANGE', SPARE, at, bytes)
    if not on then redis.call('BITOP', 'AND', SPARE, SPARE, key) end
    redis.call('BITOP', on and 'OR' or 'XOR', key, key, SPARE)
    redis.call('DEL', SPARE)
    return
  end
  redis.call('SETRANGE', key, at, quietly(function()
    redis.call('SET', SPARE, bytes)
    redis.call('SET', OTHER, redis.call('GETRANGE', key, at, at + #bytes - 1))
    redis.call('BITOP', on and 'OR' or 'AND', SPARE, SPARE, OTHER)
    if not on then redis.call('BITOP', 'XOR', SPARE, SPARE, OTHER) end
    local made = redis.call('GET', SPARE)
    redis.call('DEL', SPARE, OTHER)
    return made
  end))
end

-- Sets or clears the bits of a set. Bits below the base are left out.
local function mark(key, set, on)
  if set.bytes then mark_bytes(key, set, on) elseif #set > 0 then mark_runs(key, set, on) end
end

-- Which bits of a byte are set, from the left, for each byte met so far.
local bits_in = {}
local function bits_of(byte)
  if not bits_in[byte] then
    local bits = {}
    for bit = 0, 7 do
      if byte % 2 ^ (8 - bit) >= 2 ^ (7 - bit) then bits[#bits + 1] = bit end
    end
    bits_in[byte] = bits
  end
  return bits_in[byte]
end

-- Reads the lowest set bits of one chunk, at most `room` of them, into `runs`. The inner loop is `push`, written out:
-- most of a call's time goes by here.
local function read_chunk(chunk, from, room, runs)
  local find, found = string.find, 0
  local i = find(chunk, '[^%z]')
  while i and found < room do
    local first, byte, bytes = (from + i - 1) * 8, string.byte(chunk, i), 1
    if byte == 255 and room - found >= 8 then
      local solid = (find(chunk, '[^\255]', i) or #chunk + 1) - i
      bytes = math.min(solid, math.floor((room - found) / 8))
      push(runs, first, first + bytes * 8 - 1)
      found = found + bytes * 8
    else
      local bits, count = bits_of(byte), #runs
      local top, fit = runs[count], math.min(#bits, room - found)
      for k = 1, fit do
        local number = first + bits[k]
        if top and top[2] + 1 == number then
          top[2] = number
        else
          top, count = {number, number}, count + 1
          runs[count] = top
        end
      end
      found = found + fit
    end
    i = find(chunk, '[^%z]', i + bytes)
  end
  return found
end

-- Gives the runs of a set that may have come as bytes.
local function runs_of(set)
  if #set > 0 or not set.bytes then return set end
  local runs = {}
  read_chunk(set.bytes, set.from, math.huge, runs)
  return runs
end

-- Gives runs that hold all bits between their ends, when they are many, the bytes as well, which `read` reads.
local function with_bytes(runs, read)
  if #runs < FEW then return runs end
  local first, last = runs[1][1], runs[#runs][2]
  local from, to = math.floor(first / 8), math.floor(last / 8)
  if to - from < #runs * 2 * WIDTH then
    runs.from, runs.bytes = from, clip(read(from, to - from + 1), from, last)
  end
  return runs
end

local function from_scratch(from, count) return slice(SCRATCH, from, count) end

-- Returns the lowest set bits, at most `limit` of them; stops reading when they are more runs than `most`.
local function lowest(key, limit, most)
  local runs, found = {}, 0
  local from = math.floor(redis.call('BITPOS', key, 1) / 8)
  while from >= 0 and found < limit and #runs <= (most or math.huge) do
    local chunk = redis.call('GETRANGE', key, from, from + CHUNK - 1)
    if chunk == '' then break end
    found = found + read_chunk(chunk, base(key) + from, limit - found, runs)
    from = from + CHUNK
  end
  return runs
end

-- Lets `look` see, in the scratch bitmap, those of a set that are in the bitmap `key` and in none of the further ones.
-- Only the bytes between the set's ends are read.
local function sifted(look, set, key, ...)
  local from = set.from or math.floor(set[1][1] / 8)
  local count = set.bytes and #set.bytes or math.floor(set[#set][2] / 8) - from + 1
  local others = {...}
  return in_scratch(function()
    bases[SCRATCH] = from
    mark(SCRATCH, set, true)
    copy(SPARE, key, from, count)
    redis.call('BITOP', 'AND', SCRATCH, SCRATCH, SPARE)
    for _, other in ipairs(others) do
      copy(SPARE, other, from, count)
      redis.call('BITOP', 'AND', SPARE, SPARE, SCRATCH)
      redis.call('BITOP', 'XOR', SCRATCH, SCRATCH, SPARE)
    end
    redis.call('DEL', SPARE)
    return look()
  end)
end

local function is_any_in_scratch() return redis.call('BITPOS', SCRATCH, 1) >= 0 end

-- Returns those of a set that are in the bitmap `key` and in none of the further ones.
local function sift(set, key, ...)
  if is_empty(set) or redis.call('EXISTS', key) == 0 then return {} end
  return sifted(function() return with_bytes(lowest(SCRATCH, math.huge), from_scratch) end, set, key, ...)
end

-- Returns the same as bytes.
local function sift_bytes(set, key, ...)
  if is_empty(set) or redis.call('EXISTS', key) == 0 then return {} end
  return sifted(function()
    return is_any_in_scratch() and {from = base(SCRATCH), bytes = redis.call('GET', SCRATCH)} or {}
  end, set, key, ...)
end

-- Tells whether anyone of a set is in the bitmap `key` and in none of the further ones.
local function any_of(set, key, ...)
  if is_empty(set) or redis.call('EXISTS', key) == 0 then return false end
  return sifted(is_any_in_scratch, set, key, ...)
end
