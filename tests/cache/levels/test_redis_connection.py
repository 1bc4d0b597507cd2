"""One connection to Redis: set up within its limit, one exchange at a time, gone at the first lie."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from cache.levels.redis_connection import RedisConnector
from cache.levels.redis_options import RedisOptions
from cache.levels.replies import Kind, ProtocolError, Reply, ReplyError, pack
from gateway.core.clock import LoopClock
from tests.cache.levels.test_replies import LIES
from tests.fakes.certificates import Authority
from tests.fakes.lying_redis import PONG, LyingRedis
from tests.fakes.redis_server import RedisServer, free_port

MAX_BULK_BYTES = 1000


def connector_of(url: str, *, timeout_s: float = 10) -> RedisConnector:
    return RedisConnector(
        RedisOptions.of(url), timeout_s=timeout_s, max_bulk_bytes=MAX_BULK_BYTES, clock=LoopClock()
    )


class Replies:
    """An exchange that keeps its replies; ``ended`` has the error or None."""

    def __init__(self, *kinds: Kind) -> None:
        self.kinds, self.replies = kinds, list[Reply]()
        self.ended: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def take(self, reply: Reply) -> None:
        self.replies.append(reply)

    def end(self, error: Exception | None) -> None:
        self.ended.set_result(error)


async def ask(url: str, *words: str) -> Reply:
    """Connect, run one command, which gets a string, and close."""
    connection = await connector_of(url).connect()
    exchange = Replies(Kind.BULK)
    connection.run(pack(*words), exchange)
    assert await exchange.ended is None
    connection.abort(ConnectionAbortedError())
    await connection.closed
    return exchange.replies[0]


@pytest.mark.redis
async def test_the_url_is_followed(tmp_path: Path) -> None:
    """Password, user, database, name and socket: what redis-py would do with the URL is done."""
    path = tmp_path / "redis.sock"
    arguments = ("--unixsocket", str(path), "--user", "edge", "on", ">pass", "allcommands", "allkeys")
    with RedisServer(*arguments) as server:
        host = f"127.0.0.1:{server.port}"
        for url in (
            f"redis://edge:pass@{host}/3?client_name=me",
            f"unix://edge:pass@{path}?db=3&client_name=me",
        ):
            listed = await ask(url, "CLIENT", "LIST")
            assert isinstance(listed, bytes)
            assert b" user=edge " in listed
            assert b" name=me " in listed
            assert b" db=3 " in listed
        with pytest.raises(ReplyError, match="WRONGPASS"):
            await connector_of(f"redis://edge:wrong@{host}").connect()
        with pytest.raises(ReplyError, match="DB index is out of range"):
            await connector_of(f"redis://{host}/999").connect()


@pytest.mark.redis
async def test_a_user_without_the_right_to_ping_can_be_used() -> None:
    """An ACL that knows our three commands alone is enough."""
    with RedisServer("--user", "edge", "on", ">pass", "+getrange", "+set", "+unlink", "~*") as server:
        assert await ask(f"redis://edge:pass@127.0.0.1:{server.port}", "GETRANGE", "x", "0", "9") == b""


@pytest.mark.redis
async def test_tls_is_spoken_and_the_name_checked(tmp_path: Path) -> None:
    """With a certificate of a known authority for this name; else there is no connection."""
    authority = Authority(tmp_path)
    made, port = authority.issue("elsewhere"), free_port()
    arguments = ("--tls-port", str(port), "--tls-auth-clients", "no", "--tls-ca-cert-file")
    files = (str(authority.root), "--tls-cert-file", str(made.certificate), "--tls-key-file", str(made.key))
    with RedisServer(*arguments, *files):
        trusting = f"?ssl_ca_certs={authority.root}"
        assert await ask(f"rediss://127.0.0.1:{port}/0{trusting}", "ECHO", "x") == b"x"
        for url in (f"rediss://127.0.0.1:{port}/0", f"rediss://localhost:{port}/0{trusting}"):
            with pytest.raises(ssl.SSLCertVerificationError):
                await connector_of(url).connect()


@pytest.mark.parametrize("name", sorted(LIES.keys() - {"status"}))  # which is what a set-up gets
async def test_a_lie_while_it_is_set_up_is_no_connection(name: str) -> None:
    """The bounds hold before the first command as well."""
    async with LyingRedis(b"", greeting=LIES[name]) as server:
        with pytest.raises(ProtocolError):
            await connector_of(server.url).connect()


async def test_more_replies_than_commands_are_a_lie_at_any_time() -> None:
    """With the set-up's replies, with those of an exchange, and while nobody waits for any."""
    async with LyingRedis(b"$1\r\nx\r\n" * 2, greeting=PONG * 2) as server:
        with pytest.raises(ProtocolError, match="more replies than commands"):
            await connector_of(server.url).connect()
        server.greeting = PONG

        connection = await connector_of(server.url).connect()
        exchange = Replies(Kind.BULK)
        connection.run(pack("ECHO", "x"), exchange)
        error = await exchange.ended

    assert isinstance(error, ProtocolError)
    assert exchange.replies == [b"x"]
    assert not connection.is_open


async def test_a_server_that_is_full_says_so() -> None:
    """One error and a hang-up instead of the replies: the error is what is told."""
    async with LyingRedis(b"", greeting=b"-ERR max number of clients reached\r\n") as server:
        with pytest.raises(ReplyError, match="max number of clients"):
            await connector_of(server.url.replace("/0", "/1")).connect()


@pytest.mark.parametrize(
    "banner", [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"-ERR max number of clients reached\r\n"]
)
async def test_a_server_that_speaks_first_or_hangs_up_is_no_redis(banner: bytes) -> None:
    """Whether that is seen before the first command is sent or after, nobody waits for the limit."""

    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(banner)
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server, asyncio.timeout(10):
        url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for _ in range(20):
            with pytest.raises((OSError, ProtocolError, ReplyError)) as caught:
                await connector_of(url, timeout_s=60).connect()
            assert not isinstance(caught.value, TimeoutError)


async def test_what_is_run_on_a_lost_connection_ends_at_once() -> None:
    """With the reason for which it was lost."""
    async with LyingRedis(b"") as server:
        connection = await connector_of(server.url).connect()
        connection.abort(error := ConnectionAbortedError())
        exchange = Replies(Kind.BULK)
        connection.run(pack("ECHO", "x"), exchange)

        assert await exchange.ended is error
        await connection.closed


async def test_connecting_has_its_limit() -> None:
    """A server that accepts and says nothing, and one that begins and does not end."""
    for greeting in (b"", b"+PO"):
        async with LyingRedis(b"", greeting=greeting) as server:
            with pytest.raises(TimeoutError):
                await connector_of(server.url, timeout_s=0.1).connect()


async def test_an_idle_connection_that_is_lost_or_lied_to_is_closed() -> None:
    """Whoever holds it hears of it at once."""
    lost: list[Exception] = []
    async with LyingRedis(b"") as server:
        lied_to, left = await connector_of(server.url).connect(), await connector_of(server.url).connect()
        lied_to.on_close = left.on_close = lambda _connection, error: lost.append(error)
        left.abort(ConnectionAbortedError())
        server.say(PONG)
        await lied_to.closed
        lost_one = await connector_of(server.url).connect()
        lost_one.on_close = lied_to.on_close
    await lost_one.closed

    assert not lost_one.is_open
    assert [type(error) for error in lost] == [ConnectionAbortedError, ProtocolError, ConnectionResetError]
    assert repr(lost_one) == "<RedisConnection closed, <ReplyReader 0 bytes unread>>"


REPEATED = {
    "AUTH is not known": b"-ERR unknown command 'AUTH', with args beginning with: 'edge' 'hunter2' \r\n",
    "before Redis 7": b"-ERR unknown command `AUTH`, with args beginning with: `edge`, `hunter2`, \r\n",
    "cut": b"-ERR unknown command 'AUTH', with args beginning with: 'edge' 'hunt\r\n",
    "a lie": b"-WRONGPASS hunter2 is not it\r\n",
    "as the code": b"-hunter2 is not it\r\n",
}


@pytest.mark.parametrize("said", REPEATED.values(), ids=REPEATED)
async def test_what_refuses_a_password_and_repeats_it_is_not_quoted(said: bytes) -> None:
    """Errors of Redis go into the log."""
    async with LyingRedis(said, greeting=said) as server:
        with pytest.raises(ReplyError) as refused:
            await connector_of(server.url.replace("//", "//edge:hunter2@")).connect()
    assert "hunt" not in f"{refused.value} {refused.value.code}"
    assert "AUTH" in str(refused.value)


@pytest.mark.redis
@pytest.mark.parametrize(
    ("arguments", "user", "said"),
    [
        (("--rename-command", "AUTH", ""), "", "ERR unknown command 'AUTH'"),
        ((), "nobody", "WRONGPASS invalid"),
        ((), "", "ERR AUTH <password> called without any password configured"),
    ],
)
async def test_a_refused_password_is_told_and_not_shown(
    arguments: tuple[str, ...], user: str, said: str
) -> None:
    with RedisServer(*arguments) as server:
        with pytest.raises(ReplyError, match=said) as refused:
            await connector_of(server.url.replace("//", f"//{user}:hunter2@")).connect()
        assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("host", ["n" * 70, "a..b", "n\0o"])
async def test_a_host_that_cannot_have_a_name_is_one_that_cannot_be_reached(host: str) -> None:
    """Python has other errors for it; a node of a cluster may say anything."""
    options = replace(RedisOptions.of("redis://cache"), host=host)
    connector = RedisConnector(options, timeout_s=10, max_bulk_bytes=MAX_BULK_BYTES, clock=LoopClock())
    with pytest.raises(ConnectionError, match="no name of a host"):
        await connector.connect()
