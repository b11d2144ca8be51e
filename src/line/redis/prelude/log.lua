-- The log: a list of what happened.

-- Logs what happened. The entry's place in the list says its `seq`. Instants count from the second of the
-- entry's epoch; each epoch but the first begins with the entry that has `unseen` numbers.
local function append(entry)
  put('seq', get('seq') + 1)
  put('told', line.issued)
  if entry.draw then put('step_seq', line.seq) end
  if entry.settings then put('set_at', now) end
  local ends = entry.ends and text(entry.ends - now_s) or ''
  local tat = entry.tat and text(entry.tat - now) or ''
  local words = {text(now - epoch() * 1000000), line.issued, entry.called or '', ends, tat, entry.by_hand or '', entry.left or '',
                 entry.lapsed or '', entry.returned or '', entry.unseen or '', entry.ended or '', entry.draw or '',
                 entry.pace or '', entry.renewed or ''}
  local tail = entry.settings and '|' .. settings_text() or ''
  local told = table.concat(words, '|')
  redis.call('RPUSH', LOG, tail == '' and string.gsub(told, '|+$', '') or told .. tail)
  redis.call('LTRIM', LOG, -LOG_CAP, -1)
  prune_sessions()
  give_up_unseen()
end

local function tally(name, runs) put('tally_' .. name, get('tally_' .. name) + size(runs)) end

-- Takes places: of those who `left` or `lapsed`. Whoever neither waits nor was called gave up, so that need not
-- be remembered, but of those whom the store had forgotten once.
local function give_up(kind, runs)
  if #runs == 0 then return end
  mark(WAITING, runs, false)
  mark(OVER, sift(runs, UNSEEN), true)
  tally(kind, runs)
  append({[kind] = write(runs)})
end
