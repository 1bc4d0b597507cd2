"""What a log does with one command, inside of Redis: write an invalidation, read those since a number.

A log is a stream, and beside it what all of its entries together have said, so that nobody has to read the
stream from its beginning and nothing is forgotten that was trimmed:

* ``log``, the stream: number, scope, who, when. It is there for people, and tells readers how late they are;
* ``state``, a hash: the log's identity, the number of its last invalidation, the id of its last entry, and
  the buckets;
* ``names``, a sorted set: each scope with the number of the last invalidation that named it;
* ``readers``, a hash: how far each reader has come.

A log that is lost, in part or as a whole (FLUSHALL, eviction, a replica that had not got everything), gets
another identity, and that makes every key another one. Whoever comes first and knows more than the log does
gives it one: a reader sends the last invalidation that it knows of.

Identities grow: 12 digits count how often the log began anew, as far as anybody knows, and chance is behind
them. One that comes back (an old snapshot, a primary of before) is below the one that is known, and begins
anew: under the old one, keys of before would be found again.

Every script answers with one string of bounded length.
"""

from __future__ import annotations

from hashlib import sha1
from typing import Final

_COMMON: Final = """
local log, state, names = KEYS[1], KEYS[2], KEYS[3]
local function bucket_of(name) return 'b' .. string.sub(redis.sha1hex(name), 1, 3) end
local function field(key) return redis.call('HGET', state, key) end
local identity, count, known = field('identity'), field('count') or '', ARGV[2]
local function generation(of)
  local found = of and #of == 32 and not string.find(of, '[^0-9a-f]') and tonumber(string.sub(of, 1, 12), 16)
  return found and found < 2 ^ 40 and found or nil
end
local function renew()
  local next = math.max(generation(identity) or 0, generation(known) or 0) + 1
  identity, count = string.format('%012x', next) .. string.sub(ARGV[1], 13), 0
  redis.call('DEL', log, state, names)
  redis.call('HSET', state, 'identity', identity, 'count', 0)
end
count = not string.find(count, '[^0-9]') and tonumber(count) or nil
if not generation(identity) or not count or count > 2 ^ 52
  or (generation(known) and known > identity)
  or (count > 0 and redis.call('ZCARD', names) == 0) then renew() end
"""

_PUBLISH: Final = (
    _COMMON
    + """
local name, most_names = ARGV[3], tonumber(ARGV[4])
count = redis.call('HINCRBY', state, 'count', 1)
redis.call('ZADD', names, count, name)
local over = math.min(redis.call('ZCARD', names) - most_names, 1000)
if over > 0 then
  local popped = redis.call('ZPOPMIN', names, over)
  for i = 1, #popped, 2 do
    local bucket, number = bucket_of(popped[i]), tonumber(popped[i + 1])
    for _, key in ipairs({bucket, 'folded'}) do
      if number > tonumber(field(key) or '0') then
        redis.call('HSET', state, key, string.format('%.0f', number))
      end
    end
  end
end
local id = redis.call('XADD', log, 'MAXLEN', '~', ARGV[5], '*',
  'number', count, 'scope', name, 'by', ARGV[6], 'log', identity)
redis.call('HSET', state, 'last', id)
return identity .. ' ' .. string.format('%.0f', count)
"""
)

_READ: Final = (
    _COMMON
    + """
local seen, name, number = ARGV[3], ARGV[4], tonumber(ARGV[5])
if known == identity and name ~= '' then
  local has = tonumber(redis.call('ZSCORE', names, name) or field(bucket_of(name)) or '0')
  if has < number or count < number then renew() end
end
if known ~= identity or tonumber(seen) > count then seen = '0' end
local upto, bad, lines = string.format('%.0f', count), 0, {}
local rows = redis.call('ZRANGEBYSCORE', names, '(' .. seen, upto, 'WITHSCORES', 'LIMIT', 0, ARGV[6])
for i = 1, #rows, 2 do
  if #rows[i] <= 2560 and not string.find(rows[i], '[^%w%%=&._~-]') then
    lines[#lines + 1] = rows[i + 1] .. ' ' .. rows[i]
  else
    bad = bad + 1
  end
end
if #rows == 2 * tonumber(ARGV[6]) then upto = rows[#rows] end
if tonumber(field('folded') or '0') > tonumber(seen) then
  local all = redis.call('HGETALL', state)
  for i = 1, #all, 2 do
    if string.find(all[i], '^b%x%x%x$') and #all[i + 1] <= 16 then
      lines[#lines + 1] = all[i + 1] .. ' ' .. all[i]
    end
  end
end
local place, oldest = ARGV[7], '-'
if count > tonumber(seen) and known == identity then
  local first = redis.pcall('XRANGE', log, '(' .. place, '+', 'COUNT', 1)
  if first and not first.err and first[1] then oldest = first[1][1] end
end
if ARGV[8] ~= '' then
  if redis.call('HLEN', KEYS[4]) > 4096 then redis.call('DEL', KEYS[4]) end
  local noted = redis.pcall('HSET', KEYS[4], ARGV[8], ARGV[9])
  -- A full Redis can be read all the same.
  if type(noted) == 'table' and noted.err and not string.find(noted.err, 'OOM', 1, true) then return noted end
end
table.insert(lines, 1, table.concat({
  identity, string.format('%.0f', count), upto, string.sub(field('last') or '0-0', 1, 41), oldest, bad}, ' '))
return table.concat(lines, '\\n')
"""
)

_READERS: Final = """
local all, lines = redis.call('HGETALL', KEYS[4]), {}
for i = 1, #all, 2 do
  local at = tonumber(string.match(all[i + 1], '%d+$') or '0')
  if at < tonumber(ARGV[1]) or #all[i] > 256 or #all[i + 1] > 256 then
    redis.call('HDEL', KEYS[4], all[i])
  elseif #lines < 4096 then
    lines[#lines + 1] = all[i] .. ' ' .. all[i + 1]
  end
end
return table.concat(lines, '\\n')
"""


class Script:
    """A script and the digest by which Redis knows it once it has run; all take the four keys of a log."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.digest = sha1(text.encode(), usedforsecurity=False).hexdigest()

    def __repr__(self) -> str:
        return f"<Script {self.digest[:8]}>"


PUBLISH: Final = Script(_PUBLISH)
"""identity if there is none, identity known, name, most names, most entries, by → identity and number."""

READ: Final = Script(_READ)
"""identity if there is none, identity known, number seen, last name known, its number, most rows, last entry
seen, reader, its place → a line (identity, number of the last invalidation, number up to which the rows go,
id of the last entry, id of the oldest entry not seen, rows left out), then lines of number and name."""

READERS: Final = Script(_READERS)
"""milliseconds of the day before which a reader is gone → a line for each reader: its name, its place."""
