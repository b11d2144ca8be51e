-- ARGV: now, numbers. Takes the places of those who give up.

give_up('left', sift(parse(ARGV[2]), WAITING))
save()
