-- ARGV: now, what the mirror knows, then for each arrival the person, empty for anybody, and a number of theirs that
-- stands no more, or empty. Gives each a number, in order: a person the one they have, if its place stands, else a new
-- one. Whether the place of a drawn number stands, the gateway tells. Returns what a join does, the epochs, and the numbers; nothing where the line has lost something.

if not line.phase then return redis.error_reply('NOTMADE ' .. KEYS[1] .. ' is not configured') end
if is_out_of_step() then
  save()
  return false
end

local held, back = {}, {}
for i = 5, #ARGV, 2 do
  local number = ARGV[i] ~= '' and number_of(ARGV[i])
  if number and text(number) ~= ARGV[i + 1] then
    if is_drawn(number) or holds(number) then
      held[i] = number
    elseif is_forgotten(number) then
      -- While places rest, the gateway finds the number unseen and gives it back with a later tick.
      if not rests() then back[#back + 1] = number end
      held[i] = number
    end
  end
end
if #back > 0 then come_back(collect(back)) end

local first, numbers, new = get('issued') + 1, {}, {}
local next_number = first
for i = 5, #ARGV, 2 do
  local person = ARGV[i]
  local number = held[i] or new[person]
  if not number then
    number = next_number
    next_number = next_number + 1
    if person ~= '' then
      set_number(person, number)
      new[person] = number
    end
  end
  numbers[#numbers + 1] = text(number)
end

local count, admitted, ends = next_number - first, 0, session_end()
if count > 0 then first, admitted, ends = join(count) end
save()
return {text(epoch()), text(first), text(count), text(admitted), text(ends), text(now), line.eras, numbers}
