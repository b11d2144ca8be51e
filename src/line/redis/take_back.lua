-- ARGV: now, what the mirror knows, numbers. Gives back the places of visitors whom the store had forgotten.

if not is_behind() and understands(ARGV[3]) then come_back(parse(ARGV[5])) end
save()
