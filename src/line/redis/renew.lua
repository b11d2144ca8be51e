-- ARGV: now, what the mirror knows, then of each session that is to go on whose it is, when it would end, and when the
-- number was called. It goes on in the slot that it has, for as long as one that begins now.

local told, calls = {}, {}
for i = 5, (is_out_of_step() or not understands(ARGV[3])) and 0 or #ARGV, 3 do
  told[#told + 1] = {tonumber(ARGV[i]), ARGV[i + 1]}
  calls[ARGV[i]] = calls[ARGV[i]] or ARGV[i + 2]
end

local slots, ends = {}, session_end()
for _, group in ipairs(slots_of(told)) do
  if now_s < group[1] and group[1] < ends then slots[#slots + 1] = group end
end
for _, group in ipairs(slots) do
  each(group[2], function(number)
    if end_sessions(text(group[1]), 1) > 0 then
      redis.call('HINCRBY', SESSIONS, text(ends), 1)
      put('in_use', get('in_use') + 1)
      redis.call('ZADD', RENEWED, text(ends), text(number))
      redis.call('HSETNX', RENEWED_CALLS, text(number), calls[text(number)])
    end
  end)
end
if #slots > 0 then append({renewed = write_slots(slots), ends = ends}) end
save()
