"""Bodies as they come in: whole, large, streamed; counted to the byte."""

from __future__ import annotations

import pytest

from gateway.http.exchange import BodyPolicy
from gateway.http.server.body_stream import BodyStream
from gateway.http.server.http1.body import LARGE, Http1Body
from tests.fakes.server_context import open_context

MIB = 1 << 20


@pytest.mark.parametrize("parts", [[], [b"a"], [b"a", b"bc", b"d"]])
async def test_whole_bodies(parts):
    """One part is not copied; several are one; what was taken stays in the books of the one who took it."""
    whole = b"".join(parts)
    async with open_context() as context:
        body = Http1Body(context.address_limits.of("a").booking(), lambda: None)
        assert body.begin(BodyPolicy(MIB), None, None) is None
        for part in parts:
            assert body.add(part) is None

        assert context.address_limits.buffered == len(whole) == body.size
        taken = body.take()
        assert taken == whole
        assert len(parts) != 1 or taken is parts[0]
        assert (context.address_limits.buffered, body.size) == (len(whole), 0)


async def test_large_bodies():
    """Counted as they come; filled past the parser; what comes after them is given back."""
    size = LARGE + 10
    async with open_context() as context:
        body = Http1Body(context.address_limits.of("a").booking(), lambda: None)
        assert body.begin(BodyPolicy(MIB), size, None) is None
        assert (body.is_large, context.address_limits.buffered) == (True, 0)
        assert repr(body) == "<Http1Body large, 0 bytes>"
        body.add(b"a" * 4)
        assert context.address_limits.buffered == 4
        assert body.fill(b"b" * LARGE) is None
        assert body.fill(b"c" * 6 + b"next") == b"next"

        taken = body.take()

        assert context.address_limits.buffered == size
        assert taken == b"a" * 4 + b"b" * LARGE + b"c" * 6
        assert not body.is_large
        with pytest.raises(TypeError):
            taken[0] = 1  # type: ignore[index]


async def test_bounds():
    """The last byte allowed is taken, one more is refused, declared or not; so is what has no room."""
    async with open_context(max_buffered_mib=1) as context:
        body = Http1Body(context.address_limits.of("a").booking(), lambda: None)
        assert body.begin(BodyPolicy(10), 10, None) is None
        assert body.begin(BodyPolicy(10), 11, None) == (413, "the body is larger than 10 bytes")
        assert body.begin(BodyPolicy(10), None, None) is None
        assert body.add(bytes(10)) is None
        assert body.add(b"x") == (413, "the body is larger than 10 bytes")
        body.forget()
        assert context.address_limits.buffered == 0

        other = context.address_limits.of("b").booking("b")
        other.hold(MIB - 5)
        assert body.begin(BodyPolicy(10), None, None) is None
        assert body.add(bytes(5)) is None
        refusal = body.add(b"x")
        assert refusal is not None
        assert refusal[0] == 503
        body.forget()
        refusal = body.begin(BodyPolicy(10), 6, None)
        assert refusal is not None
        assert refusal[0] == 503
        assert context.address_limits.buffered == MIB - 5


async def test_the_share_of_an_address():
    """To the byte; whatever is announced, only what comes is booked; what has no room is refused half-way."""
    async with open_context(
        max_buffered_mib=1, max_buffered_percent_per_address=50, max_buffered_percent_of_strangers=100
    ) as context:
        usage, half, policy = context.address_limits.of("a"), MIB // 2, BodyPolicy(MIB // 4)
        bodies = [Http1Body(usage.booking(), lambda: None) for _ in range(8)]
        assert [body.begin(policy, MIB // 4, None) for body in bodies] == [None] * 8
        assert usage.held == 0
        assert [body.fill(bytes(half // 8)) for body in bodies] == [None] * 8
        assert usage.held == half

        refusal = bodies[0].fill(b"x")
        assert isinstance(refusal, tuple)
        assert refusal[0] == 503
        assert Http1Body(usage.booking(), lambda: None).begin(policy, 1, None) == refusal
        assert (
            Http1Body(context.address_limits.of("b").booking(), lambda: None).begin(policy, 1, None) is None
        )
        for body in bodies:
            body.forget()
        assert context.address_limits.buffered == usage.held == 0


@pytest.mark.parametrize("size", [None, LARGE + 1])
async def test_forgotten_bodies_are_given_back(size):
    """Whatever had come of them."""
    async with open_context() as context:
        body = Http1Body(context.address_limits.of("a").booking(), lambda: None)
        body.begin(BodyPolicy(MIB), size, None)
        body.add(b"abc")
        body.add(b"def")
        assert context.address_limits.buffered

        body.forget()

        assert (context.address_limits.buffered, body.size, body.is_large) == (0, 0, False)
        assert repr(body) == "<Http1Body whole, 0 bytes>"


async def test_streamed_bodies():
    """Parts go on as they come; the end is told, or that there will be none."""
    async with open_context() as context:
        body = Http1Body(context.address_limits.of("a").booking(), lambda: None)
        for ends in (True, False):
            stream = BodyStream(lambda _: None)
            body.begin(BodyPolicy(MIB, is_stream=True), LARGE * 2, stream)
            body.add(b"abc")
            assert "streamed" in repr(body)
            if ends:
                assert body.take() is None
                assert [bytes(part) async for part in stream] == [b"abc"]
            else:
                body.forget()
                assert await anext(stream) == b"abc"
                with pytest.raises(ConnectionResetError):
                    await anext(stream)
        assert context.address_limits.buffered == 0
