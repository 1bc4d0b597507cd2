"""The settings of L2, apart from the level so that reading them imports no Redis client."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Annotated, Final
from urllib.parse import parse_qs, unquote, urlsplit

from msgspec import Meta, Struct

from cache.levels.level import Level, LevelParts
from gateway.core.cache_levels import L2
from gateway.core.gate import GateSettings

GATE: Final = GateSettings(max_failures=5, first_wait_s=1.0, longest_wait_s=60.0)
"""Redis is a cache: while its gate is shut look-ups skip it, and a probe that fails costs one look-up."""


class RedisSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The level that the gateways of a region share, L2."""

    url: Annotated[str, Meta(pattern=r"^(rediss?(\+sentinel|\+cluster)?|unix)://")]
    """``redis://[[user]:password@]host:port/db``; ``rediss`` for TLS, ``unix`` for a socket.

    ``redis+sentinel://[[user]:password@]host:26379,host:26379/NAME/db`` finds the master NAME,
    ``redis+cluster://[[user]:password@]host:port,host:port`` the nodes of a cluster; ``rediss+sentinel`` and
    ``rediss+cluster`` use TLS. ``?ssl_ca_certs=…&ssl_certfile=…&ssl_keyfile=…&ssl_server_name=…`` are its
    files and the name in the certificate, ``sentinel_username`` and ``sentinel_password`` the Sentinels'.
    """

    timeout_ms: Annotated[int, Meta(ge=1, le=1000)] = 30
    """Milliseconds that a look-up may cost, waiting for a connection included."""

    connect_timeout_ms: Annotated[int, Meta(ge=1, le=60_000)] = 1000
    """Milliseconds that a connection may take: name, TCP, TLS and AUTH together. No look-up waits longer
    for it than ``timeout_ms``: it goes on in the background, and later ones find it."""

    max_connections: Annotated[int, Meta(ge=2, le=1024)] = 32
    """Connections at most; one of them writes, the others read."""

    max_value_bytes: Annotated[int, Meta(ge=1 << 10, le=64 << 20)] = 1 << 20
    """Larger values are neither written nor read. Default 1 MiB."""

    namespace: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")] = "edgeway"
    """First part of every key, so that an ACL can be bound to it."""

    doorkeeper: bool = False
    """Whether an answer is written only when its key has been made before by this process, within its last
    half a million to a million keys. What is made once then costs Redis nothing; what is made more often is
    made once more by each process before others find it."""

    def __repr__(self) -> str:
        # The URL may hold a password.
        return f"<RedisSettings {self.namespace}, {self.timeout_ms} ms>"

    @property
    def is_local(self) -> bool:
        """Whether the URL leads to this machine whatever a name server says: loopback or a Unix socket.

        Names are not looked up, but for ``localhost`` and what ends in it, which lead here by definition
        (RFC 6761). 0.0.0.0 is no loopback address. A URL that cannot be parsed leads nowhere. Sentinels and
        nodes of a cluster name others, which may be anywhere.
        """
        if "+" in self.url.partition("://")[0]:
            return False
        try:
            url = urlsplit(self.url)
            host = unquote(url.hostname or parse_qs(url.query).get("host", ["localhost"])[0])
        except ValueError:
            return True
        return url.scheme == "unix" or _is_loopback(host)

    def open(
        self, parts: LevelParts, secret: bytes, previous: Sequence[bytes] = (), *, name: str = L2
    ) -> Level:
        """Make the level ``name``, which connects when it is first used.

        What ``previous`` secrets sealed is read.

        Raises:
            LevelError: the URL cannot be used.
        """
        # Whoever only checks settings or a policy needs no redis-py.
        from cache.levels.redis import RedisLevel  # noqa: PLC0415

        place = "redis" if name == L2 else f"redis {name}"
        return RedisLevel(
            self,
            secret,
            gate=parts.gate(place, GATE),
            clock=parts.clock,
            telemetry=parts.telemetry,
            previous=previous,
            gate_of=lambda address: parts.gate(f"{place} {address}", GATE),
            name=name,
        )


def _is_loopback(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        name = host.lower().rstrip(".")
        return name == "localhost" or name.endswith(".localhost")
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
