"""Who the operator is: whoever has one of the tokens that the settings name."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from hmac import compare_digest


class OperatorTokens:
    """The operator's tokens, of which only the SHA-256 is kept, in hex; there may be none."""

    def __init__(self, digests: Iterable[str] = ()) -> None:
        self._digests = tuple(digest.encode() for digest in digests)

    def __repr__(self) -> str:
        return f"<OperatorTokens {len(self._digests)}>"

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._digests)

    def accepts(self, authorization: str) -> bool:
        """Whether the value of an Authorization header, ``Bearer TOKEN``, has one of the tokens.

        How long it takes does not depend on the token.
        """
        scheme, _, token = authorization.strip().partition(" ")
        if scheme.lower() != "bearer":
            return False
        shown = sha256(token.strip().encode("utf-8", "surrogateescape")).hexdigest().encode()
        return sum(compare_digest(shown, digest) for digest in self._digests) > 0
