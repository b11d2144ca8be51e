-- ARGV: now, the epoch, the promise, how many had left and lapsed, how many of the draw wait; the draw's first and last
-- number and its text; then, as bits, who of the draw waits, was called, is over, is unseen, by place. Puts everyone in
-- the place that was drawn. Returns 0 where somebody of the draw has come or gone since it was made: it is made anew.

local range = {{tonumber(ARGV[7]), tonumber(ARGV[8])}}

local function count_waiting()
  return in_scratch(function()
    bases[SCRATCH] = base(WAITING)
    mark(SCRATCH, range, true)
    redis.call('BITOP', 'AND', SCRATCH, SCRATCH, WAITING)
    return redis.call('BITCOUNT', SCRATCH)
  end)
end

local is_as_read = text(epoch()) == ARGV[2] and line.pending == ARGV[3] and line.pending_closed == ARGV[8]
  and line.tally_left == ARGV[4] and line.tally_lapsed == ARGV[5]
if not is_as_read or (range[1][1] <= range[1][2] and count_waiting() ~= tonumber(ARGV[6])) then
  save()
  return 0
end

local function put_drawn(key, bits)
  mark(key, range, false)
  mark(key, {from = 0, bytes = bits}, true)
end

-- Somebody may draw a place that lies before all who waited.
rebase_line(0)

if range[1][1] <= range[1][2] then
  put_drawn(WAITING, ARGV[10])
  put_drawn(CALLED, ARGV[11])
  put_drawn(OVER, ARGV[12])
  put_drawn(UNSEEN, ARGV[13])
  put('draws', (line.draws and line.draws ~= '') and line.draws .. ',' .. ARGV[9] or ARGV[9])
end
for _, name in ipairs({'pending', 'pending_above', 'pending_closed', 'rests_until'}) do drop(name) end
put('drawn_seq', get('seq') + 1)
append({draw = 'd ' .. ARGV[9]})

-- Gateways knew by number who is here, and say it again by place; until all have, nobody is called.
redis.call('DEL', DOOR, SEEN, UNSETTLED)
for _, gateway in ipairs(redis.call('HKEYS', LEASES)) do
  redis.call('DEL', here_key(gateway))
  redis.call('SADD', UNSETTLED, gateway)
end
put('door_at', now)
put('door_old', 0)
put('grace_at', now)
put('grace_issued', line.issued)
save()
return 1
