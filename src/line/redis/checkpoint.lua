-- ARGV: now, epoch, seq, link. Remembers a link of the chain, so that nobody has to hash the log from its start.

local seq = tonumber(ARGV[3])
if text(epoch()) == ARGV[2] and seq > get('link_seq') and seq <= get('seq') then
  put('link_seq', seq)
  put('link', ARGV[4])
end
save()
