"""What a URL of Redis says: where it is, who asks, and how TLS is spoken. redis-py reads it.

The bounds (timeouts, connections, protocol) are ours: what the URL's query string says of them is ignored.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Any, Final

from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection, parse_url

from cache.levels.level import LevelError

_OF_POOLS: Final = frozenset({"max_connections", "timeout", "connection_class", "ssl_server_name"})
_PORT: Final = 6379


@dataclass(frozen=True, slots=True)
class RedisOptions:
    """What a connection is made with. ``path`` is a Unix socket, and then there is no host."""

    host: str
    port: int
    path: str
    db: int
    username: str = field(repr=False)
    password: str = field(repr=False)
    client_name: str
    tls: ssl.SSLContext | None
    server_name: str = ""
    """The name that the server's certificate has to have, where that is not the host's."""

    @classmethod
    def of(cls, url: str) -> RedisOptions:
        """Read ``url``, and the TLS files that it names.

        Raises:
            LevelError: it cannot be used.
        """
        try:
            return cls._parse(url)
        except OSError as error:
            raise LevelError(
                f"cache.redis.url: the TLS files that it names cannot be used: {error.strerror or 'not PEM'}"
            ) from None
        except Exception:  # noqa: BLE001 - redis-py raises what it met first
            # Not a word of the URL, nor of an error about it: either may hold the password.
            raise LevelError(
                "cache.redis.url cannot be used: check its host, port and options, and write special "
                "characters of a password as %XX"
            ) from None

    @classmethod
    def _parse(cls, url: str) -> RedisOptions:
        chosen: dict[str, Any] = {**parse_url(url)}
        kind = chosen.get("connection_class", Connection)
        # A connection of redis-py's, never connected: it knows which options there are.
        like = kind(**{name: value for name, value in chosen.items() if name not in _OF_POOLS})
        is_unix = isinstance(like, UnixDomainSocketConnection)
        path = str(chosen["path"]) if is_unix else ""
        return cls(
            host="" if is_unix else str(chosen.get("host", "localhost")),
            port=int(chosen.get("port", _PORT)),
            path=path,
            db=int(chosen.get("db", 0)),
            username=str(chosen.get("username", "")),
            password=str(chosen.get("password", "")),
            client_name=str(chosen.get("client_name", "")),
            tls=like.ssl_context.get() if isinstance(like, SSLConnection) else None,
            server_name=str(chosen.get("ssl_server_name", "")),
        )
