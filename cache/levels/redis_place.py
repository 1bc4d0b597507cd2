"""The shapes in which Redis is run, from one URL.

``redis://`` and ``rediss://`` (TLS) are one server, ``unix://`` one behind a socket.
``redis+sentinel://[user:password@]host:26379,host:26379/NAME/DB`` is the master NAME of the moment, as
Sentinels know it, and ``redis+cluster://[user:password@]host:6379,host:6379`` a cluster, known from any
of its nodes; ``rediss+sentinel`` and ``rediss+cluster`` speak TLS with all of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit

from cache.levels.level import LevelError
from cache.levels.redis_options import RedisOptions

_SENTINEL_PORT: Final = 26379
_MOST_HOSTS: Final = 64
_OF_SENTINELS: Final = ("sentinel_username", "sentinel_password")


@dataclass(frozen=True, slots=True)
class RedisPlace:
    """Where Redis is. ``servers``: the server, the Sentinels, or some nodes of the cluster.

    ``options`` are what connections to Redis itself are made with, but for the address in a shape where that
    is found out. ``master`` is the name that Sentinels know it by.
    """

    shape: Literal["server", "sentinel", "cluster"]
    servers: tuple[RedisOptions, ...]
    options: RedisOptions
    master: str = ""

    @classmethod
    def of(cls, url: str) -> RedisPlace:
        """Read ``url``.

        Raises:
            LevelError: it cannot be used.
        """
        scheme, _, shape = url.partition("://")[0].partition("+")
        if not shape:
            options = RedisOptions.of(url)
            return cls("server", (options,), options)
        split = urlsplit(url)
        user, at, hosts_text = split.netloc.rpartition("@")
        hosts = hosts_text.split(",")
        if not all(hosts) or len(hosts) > _MOST_HOSTS:
            raise LevelError(
                f"cache.redis.url: {shape} needs one to {_MOST_HOSTS} hosts, as in host:port,host:port"
            )
        if shape == "sentinel":
            return cls._sentinel(scheme, user + at, hosts, split)
        if split.path not in {"", "/", "/0"}:
            raise LevelError("cache.redis.url: a cluster has database 0 only; leave the path out")
        query = f"?{split.query}" if split.query else ""
        servers = tuple(RedisOptions.of(f"{scheme}://{user}{at}{host}/0{query}") for host in hosts)
        return cls("cluster", servers, servers[0])

    @classmethod
    def _sentinel(cls, scheme: str, user: str, hosts: list[str], split: SplitResult) -> RedisPlace:
        name, _, db = split.path.strip("/").partition("/")
        if not name or (db and not db.isdecimal()):
            raise LevelError(
                "cache.redis.url: sentinel needs the master's name and may have a database, as in "
                "redis+sentinel://host:26379/NAME/0"
            )
        pairs = parse_qsl(split.query)
        rest = urlencode([pair for pair in pairs if pair[0] not in _OF_SENTINELS])
        query = f"?{rest}" if rest else ""
        own = dict(pair for pair in pairs if pair[0] in _OF_SENTINELS)
        password = own.get("sentinel_password", "")
        their_user = f"{quote(own.get('sentinel_username', ''), safe='')}:{quote(password, safe='')}@"
        prefix = f"{scheme}://{their_user if password else ''}"
        sentinels = tuple(RedisOptions.of(f"{prefix}{_with_port(host)}/0{query}") for host in hosts)
        options = RedisOptions.of(f"{scheme}://{user}{_with_port(hosts[0])}/{db or 0}{query}")
        return cls("sentinel", sentinels, options, name)


def _with_port(host: str) -> str:
    return host if re.search(r":\d+$", host) else f"{host}:{_SENTINEL_PORT}"
