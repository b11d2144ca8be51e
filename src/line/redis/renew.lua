-- ARGV: now, what the mirror knows, then of each session that is to go on whose it is, when it would end, and when the
-- number was called. It goes on in the slot that it has, for as long as one that begins now.

local PIECE = 1000

local told, calls = {}, {}
for i = 5, (is_out_of_step() or not understands(ARGV[3])) and 0 or #ARGV, 3 do
  told[#told + 1] = {tonumber(ARGV[i]), ARGV[i + 1]}
  calls[ARGV[i]] = calls[ARGV[i]] or ARGV[i + 2]
end

-- Returns the lowest numbers of a set, at most `limit` of them.
local function lowest_of(runs, limit)
  local numbers = {}
  for _, run in ipairs(runs) do
    for number = run[1], math.min(run[2], run[1] + limit - #numbers - 1) do numbers[#numbers + 1] = number end
  end
  return numbers
end

local slots, ends = {}, session_end()
for _, group in ipairs(slots_of(told)) do
  local taken = tonumber(redis.call('HGET', SESSIONS, text(group[1])) or 0)
  local numbers = now_s < group[1] and group[1] < ends and lowest_of(group[2], taken) or {}
  if #numbers > 0 then slots[#slots + 1] = {group[1], collect(numbers)} end
  for from = 1, #numbers, PIECE do
    local by_end, by_call = {}, {}
    for i = from, math.min(from + PIECE - 1, #numbers) do
      local number = text(numbers[i])
      by_end[#by_end + 1], by_end[#by_end + 2] = text(ends), number
      if not renewed_end(numbers[i]) then by_call[#by_call + 1], by_call[#by_call + 2] = number, calls[number] end
    end
    redis.call('ZADD', RENEWED, unpack(by_end))
    if #by_call > 0 then redis.call('HSET', RENEWED_CALLS, unpack(by_call)) end
  end
end
for _, group in ipairs(slots) do
  local count = size(group[2])
  end_sessions(text(group[1]), count)
  redis.call('HINCRBY', SESSIONS, text(ends), text(count))
  put('in_use', get('in_use') + count)
end
if #slots > 0 then append({renewed = write_slots(slots), ends = ends}) end
save()
