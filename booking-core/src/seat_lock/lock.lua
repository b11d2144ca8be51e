-- Locks all of the seats for one owner, or none: SET NX for several keys at once.
-- KEYS the seats; ARGV[1] the owner, ARGV[2] the lease in milliseconds.
-- Returns the places in KEYS, from 1, of the seats that others have locked.
local others = {}
for place, key in ipairs(KEYS) do
  local owner = redis.call('GET', key)
  if owner and owner ~= ARGV[1] then
    others[#others + 1] = place
  end
end
if #others == 0 then
  for _, key in ipairs(KEYS) do
    -- What is the owner's own already keeps its lease.
    redis.call('SET', key, ARGV[1], 'NX', 'PX', ARGV[2])
  end
end
return others
