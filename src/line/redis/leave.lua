-- ARGV: now, what the mirror knows, numbers. Takes the places of those who give up; returns 1 where places rest.

if not rests() and not is_out_of_step() and understands(ARGV[3]) then give_up('left', sift(parse(ARGV[5]), WAITING)) end
save()
return rests() and 1
