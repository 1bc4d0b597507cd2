"""What neighbours say to each other, and how each knows that it is the other.

A message is MessagePack, signed in one header: ``MILLISECONDS.DIGEST.TAG``. The tag is a keyed BLAKE3 hash
over who sends it to whom, what it is, when, and the digest of its body; so a stranger is refused by the head
alone, and what was meant for another region or another purpose is of no use here. An answer is signed for its
question. The key is made of ``key_secret``, which whoever shares answers must share.

A message that is sent once more within ``WINDOW_S`` is taken once more: it offers or brings the same again.
"""

from __future__ import annotations

import hmac
from typing import Final, NamedTuple

import msgspec
from blake3 import blake3

OFFER: Final = "/warming/offer"
VALUES: Final = "/warming/values"
SIGNATURE: Final = "x-edgeway-warming"
SENDER: Final = "x-edgeway-warming-from"
WINDOW_S: Final = 60.0
"""How far the clocks of two gateways may be apart, and a message may travel."""

MOST_KEYS: Final = 256
MOST_BYTES: Final = 4 << 20
"""Of the answers that one offer names, unless a single one is larger."""
MOST_BODY_BYTES: Final = 32 << 20

_HEX: Final = 64


class Offered(NamedTuple):
    """A key, with its residency class, bytes in memory, and the time until which it is fresh."""

    key: bytes
    residency: str
    size: int
    soft_expiry: float


class Offer(msgspec.Struct, frozen=True, array_like=True):
    """Keys that are hot in a region; of another ``version`` or ``instruction_set`` none would be found."""

    version: int
    instruction_set: str
    keys: tuple[Offered, ...]


class WantedKeys(msgspec.Struct, frozen=True, array_like=True):
    """Which keys of an offer are wanted, by place, and the seconds to wait before the next.

    ``why``: none ever are.
    """

    places: tuple[int, ...] = ()
    wait_s: float = 0.0
    why: str = ""


class Values(msgspec.Struct, frozen=True, array_like=True):
    """Answers: keys and their envelopes."""

    sealed: tuple[tuple[bytes, bytes], ...]


class Signer:
    """Signs messages between two regions with ``secret``, 32 bytes."""

    def __init__(self, secret: bytes) -> None:
        self._keyed = blake3(key=secret)

    def __repr__(self) -> str:
        return "<Signer>"

    def sign(self, route: tuple[str, str, str], body: bytes, now: float) -> str:
        """Return the header of a message; ``route``: from which region, to which, and what it is."""
        stamp, digest = str(int(now * 1000)), blake3(body).hexdigest()
        return f"{stamp}.{digest}.{self._tag(*route, stamp, digest)}"

    def digest_of(self, route: tuple[str, str, str], header: str, now: float) -> str | None:
        """Return the digest that the body must have; None: this is no gateway's signature, or an old one."""
        stamp, _, rest = header.partition(".")
        digest, _, tag = rest.partition(".")
        if not (stamp.isascii() and stamp.isdecimal() and len(stamp) < 16 and tag.isascii()):
            return None
        if len(digest) != _HEX or not hmac.compare_digest(tag, self._tag(*route, stamp, digest)):
            return None
        return digest if abs(now - int(stamp) / 1000) <= WINDOW_S else None

    def sign_answer(self, question: str, body: bytes) -> str:
        """Return the header of the answer ``body`` to the message whose header was ``question``."""
        return self._tag(question, blake3(body).hexdigest())

    def is_answer(self, question: str, body: bytes, header: str) -> bool:
        """Whether ``body`` is a gateway's answer to that message."""
        return header.isascii() and hmac.compare_digest(header, self.sign_answer(question, body))

    def _tag(self, *parts: str) -> str:
        keyed = self._keyed.copy()
        keyed.update(msgspec.msgpack.encode(parts))
        return keyed.hexdigest()


def fits(body: bytes, digest: str) -> bool:
    """Whether ``body`` is the one that was signed."""
    return hmac.compare_digest(blake3(body).hexdigest(), digest)
