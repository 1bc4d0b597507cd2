"""One connection to Redis: set up within its own limit, then one exchange of commands and replies at a time.

Whatever comes that no command can get back ends the connection there and then: what follows could be
anybody's. It is not this module's to wait for slow replies; who runs an exchange aborts the connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol, cast

from cache.levels.redis_options import RedisOptions
from cache.levels.replies import INCOMPLETE, Kind, ProtocolError, Reply, ReplyError, ReplyReader, Word, pack
from gateway.core.clock import Clock

RENEW_S: Final = 1.0
"""Seconds at least from one renewal to the next: a name may go on leading to a replica."""

_NO_PERMISSION: Final = "NOPERM"


class Exchange(Protocol):
    """Commands that were sent together, and who waits for their replies."""

    @property
    def kinds(self) -> Sequence[Kind]:
        """The kind of each reply, in order."""
        ...

    def take(self, reply: Reply) -> None:
        """Take the next reply."""
        ...

    def end(self, error: Exception | None) -> None:
        """Take note that all replies have come, or that ``error`` has ended the connection before."""
        ...


class RedisConnection(asyncio.Protocol):
    """A connection; ``closed`` is done when its transport has let go of the socket."""

    def __init__(self, max_bulk_bytes: int, epoch: int) -> None:
        self.epoch = epoch
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.on_close: Callable[[RedisConnection, Exception], None] | None = None
        self._reader = ReplyReader(max_bulk_bytes)
        self._transport: asyncio.Transport | None = None
        self._exchange: Exchange | None = None
        self._num_replies = 0
        self._error: Exception | None = None

    def __repr__(self) -> str:
        state = "closed" if self._error else "busy" if self._exchange else "idle"
        return f"<RedisConnection {state}, {self._reader}>"

    @property
    def is_open(self) -> bool:
        """Whether an exchange can be run."""
        return self._error is None

    def run(self, payload: bytes, exchange: Exchange) -> None:
        """Send ``payload``, the commands of ``exchange``, which hears of every reply and of the end."""
        if self._error is not None:
            exchange.end(self._error)
            return
        assert self._transport is not None, "it is connected before it is used"
        assert self._exchange is None, "one exchange at a time"
        self._exchange, self._num_replies = exchange, 0
        self._transport.write(payload)

    def abort(self, error: Exception) -> None:
        """End the connection at once, with what is in flight; ``error`` is why."""
        if self._error is not None:
            return
        self._error = error
        if self._transport is not None:
            self._transport.abort()
        else:
            self.closed.set_result(None)
        exchange, self._exchange = self._exchange, None
        # First it is no connection any more: whoever hears of the end may ask for another.
        if self.on_close is not None:
            self.on_close(self, error)
        if exchange is not None:
            exchange.end(error)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Read replies and hand them on."""
        if self._error is not None:
            return
        exchange = self._exchange
        if exchange is None:
            self.abort(ProtocolError("bytes that nobody has asked for"))
            return
        try:
            is_complete = self._read(data, exchange)
        except ProtocolError as error:
            self.abort(error)
            return
        if is_complete:
            self._exchange = None
            exchange.end(None)

    def eof_received(self) -> None:
        """Take note that nothing more will come."""
        self.abort(ConnectionResetError("the server closed the connection"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note that the socket is gone."""
        self.abort(exc or ConnectionResetError("the server closed the connection"))
        if not self.closed.done():
            self.closed.set_result(None)

    def _read(self, data: bytes, exchange: Exchange) -> bool:
        reader, kinds = self._reader, exchange.kinds
        reader.feed(data)
        while self._num_replies < len(kinds):
            reply = reader.next(kinds[self._num_replies])
            if reply is INCOMPLETE:
                return False
            self._num_replies += 1
            exchange.take(reply)
        if not reader.is_empty:
            raise ProtocolError("more replies than commands")
        return True


class _SetUp:
    """The first exchange of a connection. ``done`` when all its replies are as they should be."""

    def __init__(self, commands: Sequence[tuple[Word, ...]]) -> None:
        self.kinds = (Kind.STATUS,) * len(commands)
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._names = iter(command[0] for command in commands)

    def take(self, reply: Reply) -> None:
        """Take the next reply; at the first refusal it is over, and a server that is full hangs up."""
        name = next(self._names)
        # Users of an ACL need no permission for PING: that they lack it says that Redis is there.
        if not isinstance(reply, ReplyError) or (name == "PING" and reply.code == _NO_PERMISSION):
            return
        if not self.done.done():
            self.done.set_exception(reply)

    def end(self, error: Exception | None) -> None:
        """Take note that all have come, or why not."""
        if self.done.done():
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)


class RedisConnector:
    """Makes connections to one Redis, each within ``timeout_s``: name, TCP, TLS, AUTH and SELECT together.

    ``closed`` hears one word for every connection that ended otherwise than by ``aclose``. ``find``, where
    the address changes, returns the options to use, within the same time.
    """

    def __init__(
        self,
        options: RedisOptions,
        *,
        timeout_s: float,
        max_bulk_bytes: int,
        clock: Clock,
        closed: Callable[[str], None] = lambda _reason: None,
        find: Callable[[], Awaitable[RedisOptions]] | None = None,
    ) -> None:
        self.closed = closed
        self._options = options
        self._find = find
        self._timeout_s = timeout_s
        self._max_bulk_bytes = max_bulk_bytes
        self._clock = clock
        self.epoch = 0
        """Grows with every renewal."""
        self._renewed_s = float("-inf")

    def __repr__(self) -> str:
        return f"<RedisConnector renewed {self.epoch} times>"

    def renew(self) -> bool:
        """Give up the connections there are, each when it is idle: the name may lead elsewhere now.

        Return whether that is so: it is not done twice within ``RENEW_S``.
        """
        now = self._clock.now()
        if now - self._renewed_s < RENEW_S:
            return False
        self._renewed_s = now
        self.epoch += 1
        return True

    def is_current(self, connection: RedisConnection) -> bool:
        """Whether ``connection`` was made since the last renewal."""
        return connection.epoch == self.epoch

    async def connect(self) -> RedisConnection:
        """Return a connection that has replied.

        Raises:
            OSError, TimeoutError: it cannot be reached, or not in time.
            ReplyError, ProtocolError: it is reached and refuses, or lies.
        """
        connection = RedisConnection(self._max_bulk_bytes, self.epoch)
        try:
            async with asyncio.timeout(self._timeout_s):
                options = await self._find() if self._find else self._options
                await _open(connection, options)
                await _set_up(connection, options)
        except BaseException:
            connection.abort(ConnectionAbortedError("the connection was not set up"))
            await connection.closed
            raise
        return connection


async def _open(connection: RedisConnection, options: RedisOptions) -> None:
    loop = asyncio.get_running_loop()
    if options.path:
        await loop.create_unix_connection(lambda: connection, options.path)
        return
    await loop.create_connection(
        lambda: connection,
        options.host,
        options.port,
        ssl=options.tls,
        server_hostname=(options.server_name or None) if options.tls else None,
    )


async def _set_up(connection: RedisConnection, options: RedisOptions) -> None:
    commands = _commands(options)
    set_up = _SetUp(commands)
    connection.run(b"".join(pack(*command) for command in commands), set_up)
    await set_up.done


def _commands(options: RedisOptions) -> list[tuple[Word, ...]]:
    """Return what a connection begins with. The last, PING, proves that more than a kernel has accepted."""
    commands: list[tuple[Word, ...]] = []
    if options.username:
        commands.append(("AUTH", options.username, options.password))
    elif options.password:
        commands.append(("AUTH", options.password))
    if options.client_name:
        commands.append(("CLIENT", "SETNAME", options.client_name))
    if options.db:
        commands.append(("SELECT", options.db))
    return [*commands, ("PING",)]


_: type[Exchange] = _SetUp
