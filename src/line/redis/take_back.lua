-- ARGV: now, what the mirror knows, numbers. Gives back the places of visitors whom the store had forgotten; returns 1
-- where places rest.

if not rests() and not is_out_of_step() and understands(ARGV[3]) then come_back(parse(ARGV[5])) end
save()
return rests() and 1
