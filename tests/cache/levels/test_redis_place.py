"""The shapes in which Redis is run, from one URL."""

from __future__ import annotations

import pytest

from cache.levels.level import LevelError
from cache.levels.redis_place import RedisPlace


@pytest.mark.parametrize("url", ["redis://cache:7000/3", "rediss://cache", "unix:///run/redis.sock"])
def test_one_server(url: str) -> None:
    place = RedisPlace.of(url)
    assert place.shape == "server"
    assert place.servers == (place.options,)


def test_sentinels_have_a_master_and_credentials_of_their_own() -> None:
    place = RedisPlace.of(
        "redis+sentinel://us%40er:p%3Aw@a:1,[::1]:2,c/main/4?client_name=x&sentinel_password=q%2F&sentinel_username=s"
    )
    assert (place.shape, place.master) == ("sentinel", "main")
    assert [(each.host, each.port, each.db) for each in place.servers] == [
        ("a", 1, 0),
        ("::1", 2, 0),
        ("c", 26379, 0),
    ]
    assert {(each.username, each.password, each.client_name) for each in place.servers} == {("s", "q/", "x")}
    options = place.options
    assert (options.username, options.password, options.db, options.client_name) == ("us@er", "p:w", 4, "x")
    assert "p:w" not in repr(place) and "q/" not in repr(place)


def test_sentinels_need_no_credentials() -> None:
    place = RedisPlace.of("rediss+sentinel://:secret@a:1/main?ssl_server_name=redis.internal")
    assert [each.password for each in place.servers] == [""]
    assert place.options.tls is not None and place.servers[0].tls is not None
    assert place.options.server_name == "redis.internal"


@pytest.mark.parametrize("path", ["", "/", "/0"])
def test_a_cluster_is_known_from_some_nodes(path: str) -> None:
    place = RedisPlace.of(f"redis+cluster://u:p@a:1,b{path}")
    assert place.shape == "cluster"
    assert [(each.host, each.port, each.password) for each in place.servers] == [
        ("a", 1, "p"),
        ("b", 6379, "p"),
    ]


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://hunter2@a:1",
        "redis+sentinel://:hunter2@a:1/",
        "redis+sentinel://:hunter2@a:1/main/many",
        "redis+sentinel://:hunter2@a:1,,b/main",
        "redis+cluster://:hunter2@/0",
        "redis+cluster://:hunter2@a:1/1",
        "redis+cluster://:hunter2@a:99999",
        "redis+cluster://:hunter2@" + ",".join(["a"] * 65),
    ],
)
def test_what_cannot_be_used_is_refused_without_its_secrets(url: str) -> None:
    with pytest.raises(LevelError, match=r"cache\.redis\.url") as caught:
        RedisPlace.of(url)
    assert "hunter2" not in str(caught.value)
