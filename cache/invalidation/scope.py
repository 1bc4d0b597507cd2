"""What an invalidation names: a model, a tenant, a tag, a region, together; what is empty is any."""

from __future__ import annotations

from hashlib import sha1
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode

from msgspec import Struct, structs

MAX_NAME_BYTES: Final = 2560
"""Of a scope as it is written, which no reader takes if it is longer; the log's scripts say the same."""

NUM_BUCKETS: Final = 4096
_BUCKET_DIGITS: Final = 3


class Scope(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The answers that are no longer to be given: those that fit every field which is not empty.

    ``region``: the region whose gateways forget them.
    """

    model: str = ""
    tenant: str = ""
    tag: str = ""
    region: str = ""

    @property
    def name(self) -> str:
        """How it is written: printable ASCII, one spelling for one scope; of everything it is ``all``."""
        named = [(field, value) for field, value in structs.asdict(self).items() if value]
        return urlencode(named, quote_via=quote, safe="", errors="surrogatepass") or "all"

    @property
    def kind(self) -> str:
        """Which fields it names, for metrics: ``all``, ``model``, ``model+tenant`` and so on."""
        return "+".join(f for f, value in structs.asdict(self).items() if value and f != "region") or "all"

    @classmethod
    def parse(cls, name: str) -> Scope | None:
        """Read what ``name`` has written; None: nothing of ours has written it."""
        if len(name) > MAX_NAME_BYTES:
            return None
        try:
            scope = cls(**dict(parse_qsl(name, strict_parsing=True, errors="surrogatepass")))
        except (ValueError, TypeError):
            return cls() if name == "all" else None
        return scope if scope.name == name else None


def bucket_of(name: str) -> int:
    """Return which of ``NUM_BUCKETS`` a scope's name falls into; the log's scripts say the same."""
    return int(sha1(name.encode(), usedforsecurity=False).hexdigest()[:_BUCKET_DIGITS], 16)
