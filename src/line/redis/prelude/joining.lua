-- Gives consecutive numbers, and places back.

-- Calls the first of the new numbers where nobody callable waits. Returns the first, how many were called, and
-- when their sessions end.
local function join(count)
  close_entries()
  local free = allowance()
  if free > 0 and anyone_callable() then free = 0 end

  local first = get('issued') + 1
  local last = first + count - 1
  local admitted = math.min(free, count)
  put('issued', last)
  if admitted < count then
    local waiting = {{first + admitted, last}}
    mark(WAITING, waiting, true)
    stand_at_door(waiting)
  end

  local ends = session_end()
  if admitted > 0 then
    call_in({{first, first + admitted - 1}})
  elseif last - get('told') > JOIN_LIMIT then
    append({})
  end
  return first, admitted, ends
end

-- Gives back the places of those of `numbers` whom the store had forgotten.
local function come_back(numbers)
  local all = runs_of(numbers)
  local returned = without(sift(numbers, UNSEEN, CALLED, OVER), sift(numbers, WAITING))
  if #returned > 0 then
    -- As bytes, if they came so.
    local bits = size(returned) == size(all) and numbers or returned
    greet(bits)
    mark(WAITING, bits, true)
    append({returned = write(returned)})
  end
end
