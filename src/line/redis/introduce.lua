-- ARGV: now, what the mirror knows, then pairs of a person and the number that their ticket tells. Takes in what was
-- lost. Of two places that both wait, the earlier one stays and the other is given up; otherwise, and where lots
-- were drawn, the one that is told counts. Returns 1 where places rest: then all is to be told again.

local function waits(number) return not is_drawn(number) and has(WAITING, number) end

local doubled = {}
for i = 5, (is_out_of_step() or rests()) and 0 or #ARGV, 2 do
  local person, number = ARGV[i], tonumber(ARGV[i + 1])
  if is_drawn(number) or holds(number) then
    local known, kept = number_of(person), number
    if known and known ~= number and waits(known) and waits(number) then
      doubled[#doubled + 1] = math.max(known, number)
      kept = math.min(known, number)
    end
    if kept ~= known then set_number(person, kept) end
  end
end
if #doubled > 0 then give_up('left', sift(collect(doubled), WAITING)) end
save()
return rests() and 1
