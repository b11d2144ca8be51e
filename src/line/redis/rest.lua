-- ARGV: now, the epoch, the promise. Lets the places of a draw rest, so that it can be put in place as it was made. A
-- rest does not follow the last one at once: whatever becomes of those who draw, places are mostly free.

local is_pending = text(epoch()) == ARGV[2] and line.pending == ARGV[3] and line.pending_closed
if is_pending and now >= (get('rests_until') or 0) + DRAW_REST_US then put('rests_until', now + DRAW_REST_US) end
save()
