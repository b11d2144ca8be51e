-- ARGV: now, what the mirror knows, numbers. Takes the places of those who give up.

if not is_behind() and understands(ARGV[3]) then give_up('left', sift(parse(ARGV[5]), WAITING)) end
save()
