"""What a URL of Redis says."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from cache.levels.level import LevelError
from cache.levels.redis_options import RedisOptions


def test_a_url_says_where_and_who() -> None:
    """Percent signs are decoded, in the query string too."""
    options = RedisOptions.of("redis://us%40er:p%3Aw@cache:7000/3?client_name=edge%201")

    assert (options.host, options.port, options.path, options.db) == ("cache", 7000, "", 3)
    assert (options.username, options.password, options.client_name) == ("us@er", "p:w", "edge 1")
    assert options.tls is None
    assert "p:w" not in repr(options)
    assert "us@er" not in repr(options)


def test_what_it_does_not_say_is_redis_own_default() -> None:
    """Port 6379 of this host, database 0."""
    options = RedisOptions.of("redis://")

    assert (options.host, options.port, options.db) == ("localhost", 6379, 0)


def test_a_socket_has_a_path_and_no_host() -> None:
    """unix:// names a file."""
    options = RedisOptions.of("unix://:secret@/run/my%20redis.sock?db=2")

    assert (options.path, options.host, options.db) == ("/run/my redis.sock", "", 2)
    assert options.password == "secret"


def test_tls_is_as_redis_py_makes_it() -> None:
    """rediss:// checks certificate and name, unless the URL says otherwise."""
    strict = RedisOptions.of("rediss://cache").tls
    lenient = RedisOptions.of("rediss://cache?ssl_cert_reqs=none&ssl_check_hostname=false").tls

    assert strict is not None and lenient is not None
    assert (strict.verify_mode, strict.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert (lenient.verify_mode, lenient.check_hostname) == (ssl.CERT_NONE, False)


@pytest.mark.parametrize(
    "url",
    [
        "redis://:hunter2@cache/0?db=many",
        "redis://:hunter2@cache/0?no_such_option=1",
        "redis://:hunter2@cache:99999",
        "redis://:hunter2@[::1",
        "unix://",
    ],
)
def test_what_cannot_be_used_is_refused_without_a_word_of_it(url: str) -> None:
    """The URL may hold a password, and an error about it may hold the URL."""
    with pytest.raises(LevelError, match=r"^cache\.redis\.url cannot be used: check its host, [^2]*$"):
        RedisOptions.of(url)


def test_tls_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    """At start, and not at the first look-up."""
    (tmp_path / "ca.pem").write_text("no certificate")

    for name in ("missing.pem", "ca.pem"):
        with pytest.raises(LevelError, match="TLS files"):
            RedisOptions.of(f"rediss://:hunter2@cache?ssl_ca_certs={tmp_path / name}")
