-- ARGV: now, which board somebody has heard of and up to which change, then words: the key, until when it is sold out, when
-- that was said, and the version or nothing. Takes them in as board.rs does. Returns the board, the change that this
-- goes up to, 1 where there is more, then words: the key, until, said, the version and when it was said, or nothing.

local WORDS, CHANGES, FORGET = ROOM .. 'words', ROOM .. 'word_changes', ROOM .. 'word_ends'
local now_ms = math.floor(now / 1000)
if not line.board_began then
  put('board_began', now)
  put('board_change', 0)
end

local function read(value)
  local till, said, version, heard = string.match(value, '^(%d+) (%d+) ?(%d*) ?(%d*)$')
  return {till = tonumber(till), said = tonumber(said), version = tonumber(version), heard = tonumber(heard)}
end

local function written(word)
  local told = text(word.till) .. ' ' .. text(word.said)
  return word.version and told .. ' ' .. text(word.version) .. ' ' .. text(word.heard) or told
end

local function kept_until(word)
  return math.max(word.till, math.max(word.said, word.heard or 0) + WORD_KEPT_MS)
end

-- As Word::follows; nil where `said` is stale.
local function follows(said, known)
  local version, heard = known.version, known.heard
  if version and heard + WORD_KEPT_MS <= now_ms then version, heard = nil, nil end
  if version and said.version and said.version ~= version then return said.version > version and said or nil end
  if said.said < known.said then return nil end
  if said.version then version, heard = said.version, said.heard end
  return {till = said.till, said = said.said, version = version, heard = heard}
end

local function says_as(known, following)
  local lasts_as = math.abs(known.till - following.till) < NEWS_MS
  return known.version == following.version and (lasts_as or math.max(known.till, following.till) <= now_ms)
end

local function forget()
  for _, key in ipairs(redis.call('ZRANGEBYSCORE', FORGET, '-inf', text(now_ms))) do
    redis.call('HDEL', WORDS, key)
    redis.call('ZREM', CHANGES, key)
    redis.call('ZREM', FORGET, key)
  end
end

local function take(key, word)
  put('board_change', get('board_change') + 1)
  redis.call('HSET', WORDS, key, written(word))
  redis.call('ZADD', CHANGES, line.board_change, key)
  redis.call('ZADD', FORGET, text(kept_until(word)), key)
end

local answer = {}
local function tell(key, word)
  for _, value in ipairs({key, text(word.till), text(word.said), word.version and text(word.version) or '',
                          word.heard and text(word.heard) or ''}) do answer[#answer + 1] = value end
end

-- Takes a word in; returns whether it was said long ago, and this board has forgotten what became of it.
local function hear(key, said)
  local value = redis.call('HGET', WORDS, key)
  local known = value and read(value)
  local is_past = said.said + WORD_KEPT_MS <= now_ms and math.floor(get('board_began') / 1000) <= said.said
  if not known and is_past then return true end
  local following = said
  if known then following = follows(said, known) end
  if not following or (known and says_as(known, following)) then return false end
  if known or redis.call('HLEN', WORDS) < KEYS_CAP then take(key, following) end
  return false
end

forget()
local past = {}
for i = 4, #ARGV, 4 do
  local said = {till = tonumber(ARGV[i + 1]), said = tonumber(ARGV[i + 2]), version = tonumber(ARGV[i + 3])}
  said.heard = said.version and said.said
  if hear(ARGV[i], said) then past[#past + 1] = ARGV[i] end
end

local known = ARGV[2] == line.board_began and ARGV[3] or '0'
local keys = redis.call('ZRANGEBYSCORE', CHANGES, '(' .. known, '+inf', 'LIMIT', 0, text(SHARE_LIMIT + 1))
local is_more, change = #keys > SHARE_LIMIT, line.board_change
if is_more then
  keys[#keys] = nil
  change = redis.call('ZSCORE', CHANGES, keys[#keys])
end
for _, key in ipairs(keys) do tell(key, read(redis.call('HGET', WORDS, key))) end
for _, key in ipairs(past) do tell(key, {till = 0, said = now_ms}) end
save()
return {line.board_began, change, is_more and '1' or '0', answer}
