-- Which server this line lives in. Where it is another than the line was last changed in (a restart, a replica that
-- took over, a slot that moved), it may lack what the last one did, and a new epoch begins before the verb does
-- anything.
--
-- A server names the history of its data: another name at each start, and at each turn from replica to master. The
-- server itself is asked, each time, for some microseconds. What a connection once heard would not do: a master that
-- was made a replica and a master again may have lost all, and keeps its connections.

local SERVER = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')

-- As LineState::rested_tat_us.
local function rested_tat()
  local interval = interval_in_force()
  if not interval or interval == 0 then return nil end
  if interval == MAX_INTERVAL_US then return now + REST_US end
  return math.min(now + REST_US + get('burst') * interval, MAX_TAT_US)
end

-- Nobody is known to be here; until that can have been said again, all who wait stand at the door.
local function empty_attendance()
  forget_gateways()
  redis.call('DEL', SEEN, BACK)
  all_at_door()
  put('door_at', now)
  put('door_old', 0)
  put('grace_at', now)
  put('grace_issued', line.issued)
end

-- As LineState::succeed. The log is not cleared, for the chain goes on through it; but mirrors of older epochs are
-- not to follow it.
local function succeed()
  local first, last = get('issued') + 1, get('issued') + EPOCH_MARGIN
  mark(UNSEEN, {{first, last}}, true)
  put('eras', line.eras .. ',' .. text(math.max(math.min(now_s, MAX_EPOCH), epoch() + 1)) .. ':' .. text(last))
  put('issued', last)
  empty_attendance()
  local tat = rested_tat()
  if tat then put('tat', math.max(get('tat'), tat)) end
  append({unseen = text(first) .. '-' .. text(last), tat = tat})
  put('began', line.seq)
end

if line.server ~= SERVER then
  if line.server then succeed() end
  -- Nobody's reading of the board is worth anything here: what was said lately may be missing from it.
  if line.board_began then put('board_began', now) end
  put('server', SERVER)
  -- At once, in case the verb that follows fails.
  save()
end
