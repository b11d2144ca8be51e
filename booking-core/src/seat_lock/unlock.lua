-- Unlocks those of the seats that still belong to one owner: whose lease has ended, and whose seat another has locked
-- since, has nothing to release.
-- KEYS the seats; ARGV[1] the owner. Returns how many were released.
local released = 0
for _, key in ipairs(KEYS) do
  if redis.call('GET', key) == ARGV[1] then
    released = released + redis.call('DEL', key)
  end
end
return released
