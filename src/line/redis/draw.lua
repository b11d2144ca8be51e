-- ARGV: now; the epoch, the promise, how many had left and lapsed, how many of the draw wait, are unseen, and are both
-- over and unseen, as read; the draw's first and last number and its text; then, as bits, who of the draw waits, was
-- called, is over, is unseen, by place. Puts everyone in the place that was drawn. Returns 0 where somebody of the draw has
-- come or gone since it was made: it is made anew.

local read = {epoch = ARGV[2], promise = ARGV[3], left = ARGV[4], lapsed = ARGV[5],
              waiting = ARGV[6], unseen = ARGV[7], over_unseen = ARGV[8]}
local first, last, draw = tonumber(ARGV[9]), tonumber(ARGV[10]), ARGV[11]
local drawn = {waiting = ARGV[12], called = ARGV[13], over = ARGV[14], unseen = ARGV[15]}
local range = first <= last and {{first, last}} or {}

-- Counts those of a set who are in the bitmap `key`.
local function count_in(key, set)
  return text(is_empty(set) and 0 or sifted(function() return redis.call('BITCOUNT', SCRATCH) end, set, key))
end

-- Since the entries closed nobody of them was called, and no bit of the unseen is set but by an epoch that begins, so
-- as many are the same.
local function is_as_read()
  return text(epoch()) == read.epoch and line.pending == read.promise and get('pending_closed') == last
    and line.tally_left == read.left and line.tally_lapsed == read.lapsed
    and count_in(WAITING, range) == read.waiting and count_in(UNSEEN, range) == read.unseen
    and count_in(OVER, sift_bytes(range, UNSEEN)) == read.over_unseen
end

if not is_as_read() then
  save()
  return 0
end

local function put_drawn(key, bits)
  mark(key, range, false)
  mark(key, {from = 0, bytes = bits}, true)
end

-- Somebody may draw a place that lies before all who waited.
rebase_line(0)

if #range > 0 then
  put_drawn(WAITING, drawn.waiting)
  put_drawn(CALLED, drawn.called)
  put_drawn(OVER, drawn.over)
  put_drawn(UNSEEN, drawn.unseen)
  put('draws', (line.draws and line.draws ~= '') and line.draws .. ',' .. draw or draw)
end
for _, name in ipairs({'pending', 'pending_above', 'pending_closed', 'rests_until'}) do drop(name) end
put('drawn_seq', get('seq') + 1)
append({draw = 'd ' .. draw})

-- Gateways knew by number who is here, and say it again by place; until all have, nobody is called.
redis.call('DEL', DOOR, BACK, SEEN)
unsettle()
put('door_at', now)
put('door_old', 0)
put('grace_at', now)
put('grace_issued', line.issued)
save()
return 1
