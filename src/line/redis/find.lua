-- ARGV: now, a person. Returns the epochs and the number that the person has, if its place may still stand. Whether that of
-- a drawn number does, the gateway knows.

save()
local number = number_of(ARGV[2])
if number and (is_drawn(number) or holds(number) or is_forgotten(number)) then return {line.eras, text(number)} end
return false
