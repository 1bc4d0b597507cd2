"""What every streaming call has: messages framed one by one, a status at the end, a time limit.

What ends a stream early is its status, which a connection sends as trailers after the last message.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing

from gateway.core.errors import Fault, GatewayError
from gateway.core.service import NumberedService
from gateway.core.tensor import Buffer
from gateway.http.exchange import BodySource, ConnectionClosing, Pair, StreamedAnswer
from gateway.listeners.oip.grpc.packing import Packing
from gateway.listeners.oip.grpc.statuses import Statuses

_log = logging.getLogger(__name__)


def streaming(
    messages_out: AsyncGenerator[list[Buffer], None],
    statuses: Statuses,
    generation: Callable[[], NumberedService],
    *,
    packing: Packing,
    coding: str | None,
) -> StreamedAnswer:
    """Return the answer of a streaming call, with ``coding`` for its messages."""
    source = MessageStream(messages_out, statuses, generation, packing=packing, coding=coding)
    return StreamedAnswer(200, packing.fields(coding), source)


class MessageStream:
    """The messages of a streaming call; its trailers are the status of what has become of them.

    That is OK, or what ``messages_out`` raised. They name the policy generation that is in force at the end.
    """

    __slots__ = ("_generation", "_parts", "_refusal", "_statuses")

    def __init__(
        self,
        messages_out: AsyncGenerator[list[Buffer], None],
        statuses: Statuses,
        generation: Callable[[], NumberedService],
        *,
        packing: Packing,
        coding: str | None,
    ) -> None:
        self._statuses, self._generation = statuses, generation
        self._parts = self._framed(messages_out, packing, coding)
        self._refusal: GatewayError | None = None

    def __repr__(self) -> str:
        return f"<MessageStream {self._refusal or 'without an error'}>"

    def __aiter__(self) -> AsyncIterator[Buffer]:
        """Return the messages, framed; what goes wrong ends them, and is in the trailers."""
        return self._parts

    def trailers(self) -> tuple[Pair, ...]:
        """Return the status of the call."""
        number, refusal = self._generation().number, self._refusal
        return self._statuses.ok(number) if refusal is None else self._statuses.trailers(refusal, number)

    async def aclose(self) -> None:
        """End the call."""
        await self._parts.aclose()

    async def _framed(
        self, messages_out: AsyncGenerator[list[Buffer], None], packing: Packing, coding: str | None
    ) -> AsyncGenerator[Buffer, None]:
        try:
            async with aclosing(messages_out):
                async for parts in messages_out:
                    for part in packing.framed(parts, coding):
                        yield part
        except GatewayError as error:
            self._refusal = error
        except ConnectionClosing:
            self._refusal = GatewayError(Fault.UNAVAILABLE, "the server is shutting down")
        except Exception:  # noqa: BLE001 - a bug behind the wire becomes a status, never a traceback
            _log.exception("a gRPC stream failed unexpectedly")
            self._refusal = GatewayError(Fault.INTERNAL, "internal error")


_: type[BodySource] = MessageStream


async def timely(
    messages_out: AsyncGenerator[list[Buffer], None], until: float
) -> AsyncGenerator[list[Buffer], None]:
    """Return ``messages_out`` up to loop time ``until``.

    Raises:
        GatewayError: DEADLINE when it comes first; what is under way then is cancelled.
    """
    now = asyncio.get_running_loop().time
    async with aclosing(messages_out):
        while now() < until:
            try:
                async with asyncio.timeout_at(until):
                    parts = await anext(messages_out)
            except StopAsyncIteration:
                return
            except TimeoutError:
                break
            yield parts
    raise GatewayError(Fault.DEADLINE, "the stream's grpc-timeout has passed")
