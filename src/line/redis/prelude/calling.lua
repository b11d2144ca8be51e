-- Who is present, how many may be called, and what a call does. The arithmetic is that of
-- admission.rs; every sum stays below 2^53, where doubles count exactly.

-- Reads who is waiting and present in `count` bytes from byte `from` on, counted from number 0 on: how many of the bytes
-- before the first of them are empty, and the others.
local function read_callable(from, count)
  return in_scratch(function()
    copy(SCRATCH, HERE, from, count)
    for _, key in ipairs({BEFORE, DOOR}) do
      if redis.call('EXISTS', key) == 1 then
        copy(SPARE, key, from, count)
        redis.call('BITOP', 'OR', SCRATCH, SCRATCH, SPARE)
      end
    end
    copy(SPARE, WAITING, from, count)
    redis.call('BITOP', 'AND', SCRATCH, SCRATCH, SPARE)
    redis.call('DEL', SPARE)
    local first = redis.call('BITPOS', SCRATCH, 1)
    local empty = first < 0 and count or math.floor(first / 8)
    return {empty = empty, bytes = empty < count and redis.call('GETRANGE', SCRATCH, empty, -1) or ''}
  end)
end

-- Returns the lowest who are waiting and present, at most `limit` of them. Mostly they are at the head of the line, so
-- it is read from there on, in pieces that grow.
local function lowest_callable(limit)
  local LEAST_PIECE, MOST_PIECE = 64, 262144
  local head = redis.call('BITPOS', WAITING, 1)
  if head < 0 then return {} end
  local start = base(WAITING) + math.floor(head / 8)
  local runs, found, from, stop = {}, 0, start, base(WAITING) + redis.call('STRLEN', WAITING)
  local width, pieces = math.max(LEAST_PIECE, math.floor(limit / 4)), {}
  while from < stop and found < limit do
    local count = math.min(width, stop - from)
    local piece = read_callable(from, count)
    found = found + read_chunk(piece.bytes, from + piece.empty, limit - found, runs)
    pieces[#pieces + 1] = piece
    from, width = from + count, math.min(width * 2, MOST_PIECE)
  end
  return with_bytes(runs, function(at, count)
    local bytes = {}
    for i, piece in ipairs(pieces) do bytes[i] = string.rep('\0', piece.empty) .. piece.bytes end
    return string.sub(table.concat(bytes), at - start + 1, at - start + count)
  end)
end

-- Tells whether anyone waiting is present.
local function anyone_callable() return #lowest_callable(1) > 0 end

local function free_sessions()
  local limit = tonumber(line.total_active_users)
  return limit and math.max(0, limit - active()) or math.huge
end

local function rate_allowance()
  local interval = interval_in_force()
  if interval == 0 then return math.huge end
  if interval == MAX_INTERVAL_US then return 0 end
  local owed = math.max(0, get('tat') - now)
  local part = math.fmod(owed, interval)
  local intervals = (owed - part) / interval + (part > 0 and 1 or 0)
  return math.max(0, get('burst') - intervals)
end

local function stage()
  local ms = math.floor(now / 1000)
  local function before(name) return ms < (get(name) or 0) end
  if ms >= (get('ends_ms') or math.huge) then return 'ended' end
  return before('opens_ms') and 'early' or before('starts_ms') and 'gathering' or 'running'
end

-- Tells whether there is an order to call by: no draw is to come, and who is present is known by place.
local function has_order() return not line.pending and get('unsettled') ~= 1 end

-- Tells whether the places of a draw rest, because it is just being put in place. Nobody gives one up, nor comes back
-- to one; gateways are told, and say it again.
local function rests()
  local until_us = line.pending and get('rests_until')
  return until_us and now < until_us and until_us <= now + DRAW_REST_US
end

-- Closes the entries of a promised draw at the first verb after the start.
local function close_entries()
  local now_at = line.pending and not line.pending_closed and stage()
  if now_at == 'running' or now_at == 'ended' then
    put('pending_closed', line.issued)
    append({draw = 'c ' .. line.issued})
  end
end

local function allowance()
  local calls = line.phase == 'open' or line.phase == 'draining'
  if not calls or stage() ~= 'running' or not has_order() then return 0 end
  local rate = rate_allowance()
  return rate > 0 and math.min(rate, free_sessions()) or 0
end

local function spend(count)
  local tat, interval = get('tat'), interval_in_force()
  if not interval then return 0 end
  if interval == 0 or interval == MAX_INTERVAL_US then return tat end
  return math.min(math.max(tat, now) + count * interval, MAX_TAT_US)
end

local function session_end() return now_s + (get('session_duration_s') or 0) end

local function call_in(runs, by_hand)
  local ends, tat, first = session_end(), spend(size(runs)), runs[1][1]
  -- Written once, for the runs and for the log.
  local called = write(runs, first)
  mark(WAITING, runs, false)
  mark(CALLED, runs, true)
  begin_sessions(runs, called, ends)
  tally('called', runs)
  put('tat', math.max(get('tat'), tat))
  local told = called == '0' and text(first) or text(first) .. '+' .. called
  append({called = told, ends = ends, tat = tat, by_hand = by_hand and text(size(runs))})
end
