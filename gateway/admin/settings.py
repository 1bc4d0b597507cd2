"""Who may use the admin port."""

from __future__ import annotations

from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final

import msgspec

from gateway.core.operator import OperatorTokens
from gateway.http.server.tls import TlsSettings

_HASH: Final = r"^[0-9a-f]{64}\Z"
_SHORTEST: Final = 16


class AdminAccessSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who may use the admin port, and by which names it is called.

    ``tokens_sha256``: SHA-256 of each of the operator's tokens, in lower-case hex. ``token_file``: a file
    with tokens, one a line, read at start. A token comes as ``Authorization: Bearer TOKEN``. ``tls``:
    certificates; with ``client_ca`` a client's certificate does as well as a token. ``hosts``: names by which
    the port is called, beside the address that it listens on and those of this machine. ``open_metrics``:
    ``/metrics`` needs neither; ``/healthz`` and ``/readyz`` never do.
    """

    tokens_sha256: tuple[Annotated[str, msgspec.Meta(pattern=_HASH)], ...] = ()
    token_file: str | None = None
    tls: TlsSettings | None = None
    hosts: tuple[str, ...] = ()
    open_metrics: bool = False

    @property
    def takes_certificates(self) -> bool:
        """Whether clients may show a certificate."""
        return self.tls is not None and self.tls.client_ca is not None

    @property
    def is_restricted(self) -> bool:
        """Whether a token, or a certificate, is needed at all."""
        return bool(self.tokens_sha256) or self.token_file is not None or self.takes_certificates


def read_tokens(settings: AdminAccessSettings) -> OperatorTokens:
    """Return the operator's tokens.

    Raises:
        OSError: the file cannot be read.
        ValueError: it has no token, or one that could be guessed.
    """
    digests = list(settings.tokens_sha256)
    if settings.token_file is not None:
        tokens = Path(settings.token_file).read_text(encoding="utf-8").split()
        if not tokens or min(map(len, tokens)) < _SHORTEST:
            raise ValueError(f"it needs a token of {_SHORTEST} or more characters, as `openssl rand -hex 32`")
        digests += [sha256(token.encode()).hexdigest() for token in tokens]
    return OperatorTokens(digests)


def is_loopback(host: str) -> bool:
    """Whether an address is one that only this machine can reach."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
