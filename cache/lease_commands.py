"""Leases as Redis keeps them: scripts, each of which is one step that nobody comes between.

A lease is a string beside the answer: the token of who computes it, or ``ABANDONED`` when who did has none to
share. It vanishes by itself, so that nobody waits for the dead. One without an end is none of ours and does
not count.

They are sent as text each time, a few hundred bytes: then a Redis that has restarted, or another node, knows
them too. An ACL must allow EVAL, GET, SET, DEL and PTTL.
"""

from __future__ import annotations

from typing import Final

from cache.levels.replies import ReplyError, Word

WON: Final = 0
"""Reply to ``take``: the lease is ours. A positive one is milliseconds for which it is another's."""

NOBODYS: Final = -1
"""Reply to ``take``: whoever computed the answer has none to share."""

ABANDONED: Final = b"-"
ABANDONED_MS: Final = 1000
"""For so long nobody waits for an answer that could not be shared."""

REFUSED: Final = 0
"""Reply to ``fill``: the lease is no longer ours, and nothing was written."""

_TAKE: Final = """\
local held = redis.call('GET', KEYS[1])
local left = held and redis.call('PTTL', KEYS[1]) or 0
if left <= 0 then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return 0
end
return held == '-' and -1 or left
"""

_FILL: Final = """\
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
redis.call('DEL', KEYS[1])
return 1
"""

_RELEASE: Final = """\
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then return redis.call('DEL', KEYS[1]) end
redis.call('SET', KEYS[1], '-', 'PX', ARGV[2])
return 1
"""


def take(lease: str, token: bytes, lease_ms: int) -> tuple[Word, ...]:
    """Ask for a lease for ``lease_ms``. Reply: ``WON``, ``NOBODYS``, or for how long it is another's."""
    return ("EVAL", _TAKE, 1, lease, token, lease_ms)


def fill(lease: str, token: bytes, value: str, blob: bytes, lifetime_ms: int) -> tuple[Word, ...]:
    """Write the answer and give the lease back, if it is still ours. Reply: 1, or ``REFUSED``."""
    return ("EVAL", _FILL, 2, lease, value, token, blob, lifetime_ms)


def release(lease: str, token: bytes, *, is_abandoned: bool) -> tuple[Word, ...]:
    """Give the lease back without an answer; ``is_abandoned``: others shall not wait for one either."""
    return ("EVAL", _RELEASE, 1, lease, token, ABANDONED_MS if is_abandoned else 0)


def is_apart(error: BaseException, command: tuple[Word, ...]) -> bool:
    """Whether ``command`` is a ``fill`` whose names are at two nodes, while a cluster moves their slot."""
    is_refused = isinstance(error, ReplyError) and error.code == "TRYAGAIN"
    return is_refused and command[:3] == ("EVAL", _FILL, 2)


def in_two(command: tuple[Word, ...]) -> tuple[tuple[Word, ...], tuple[Word, ...]]:
    """Return ``fill`` as two commands about one name each: give the lease back, and if it was ours, write.

    Who bids in between wins, and computes once more.
    """
    _, _, _, lease, value, token, blob, lifetime_ms = command
    assert isinstance(lease, str), "it is as `fill` has made it"
    assert isinstance(token, bytes), "it is as `fill` has made it"
    return release(lease, token, is_abandoned=False), ("SET", value, blob, "PX", lifetime_ms)
