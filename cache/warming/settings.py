"""The settings of warm fail-over: which neighbours get the keys that are hot here, where theirs come in."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from gateway.http.server.tls import TlsSettings

_URL = Annotated[str, Meta(pattern=r"^https?://[^/?#@]+$")]


class WarmingSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Warm fail-over: gateways offer their hottest keys to those of a neighbouring region.

    These fetch the answers that may be seen there. All of them need the same ``key_secret``.
    """

    to: Annotated[dict[str, _URL], Meta(max_length=16)] = {}
    """Neighbouring region → where its gateways listen for this, ``https://HOST:PORT`` or ``http://HOST:PORT``."""

    listen: Annotated[str, Meta(pattern=r"^.+:\d{1,5}$")] | None = None
    """HOST:PORT at which offers of neighbours come in; None: none are taken. No client is served there."""

    tls: TlsSettings | None = None
    """Certificates of ``listen``; None: plain HTTP, for a network that is encrypted by other means."""

    ca: str | None = None
    """The file of the authorities that ``https`` neighbours are verified by; None: the machine's."""

    percent: Annotated[float, Meta(gt=0, le=100)] = 50.0
    """Percent of the answers in memory that are offered, the hottest first."""

    every_s: Annotated[float, Meta(ge=0.05, le=3600)] = 10.0
    """Seconds between the beginnings of two rounds. A round that takes longer is finished first."""

    max_keys_per_s: Annotated[int, Meta(ge=1, le=1_000_000)] = 5000
    """Keys offered to each neighbour per second, on average over a round."""

    max_bytes_per_s: Annotated[int, Meta(ge=1 << 10, le=1 << 34)] = 4 << 20
    """Bytes of answers sent to each neighbour per second, and fetched from all of them together."""

    max_bytes: Annotated[int, Meta(ge=1 << 10, le=1 << 40)] = 64 << 20
    """Bytes that fetched answers may take here, beside those of ``cache.memory``."""

    timeout_s: Annotated[float, Meta(gt=0, le=60)] = 5.0
    """Seconds that a neighbour may take for one answer."""

    def __repr__(self) -> str:
        neighbours = ", ".join(sorted(self.to)) or "nobody"
        return f"<WarmingSettings to {neighbours}, from {self.listen or 'nobody'}>"
