"""Where offers come in, over real sockets: whose they are is known before they are read."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
import pytest

from cache.key import KEY_VERSION
from cache.levels.envelope import Envelope
from cache.levels.memory import MemoryLevel, MemorySettings
from cache.warming.level import WarmLevel
from cache.warming.messages import (
    OFFER,
    SENDER,
    SIGNATURE,
    VALUES,
    Offer,
    Offered,
    Signer,
    Values,
    WantedKeys,
)
from cache.warming.receiver import WarmingReceiver
from cache.warming.sender import WarmingError
from cache.warming.settings import WarmingSettings
from gateway.app import warming_listener
from gateway.app.warming_links import WarmingLinks
from gateway.app.warming_listener import WarmingListener
from gateway.core.cache_events import CacheWarmed
from gateway.core.clock import LoopClock
from gateway.core.telemetry import Silence
from gateway.http.client.tls import trusting_context
from tests.cache.build import SECRET, entry
from tests.fakes.certificates import Authority
from tests.fakes.telemetry import RecordingTelemetry

KEY: Final = b"k" * 32
SIGNER, STRANGER = Signer(b"s" * 32), Signer(b"t" * 32)
CLOCK = LoopClock()
ENTRY = entry(now=2e9)
OFFERED = Offer(KEY_VERSION, "avx2", (Offered(KEY, "any", ENTRY.size, ENTRY.soft_expiry),))


class There:
    """A region that takes offers."""

    def __init__(self) -> None:
        self.telemetry = RecordingTelemetry()
        self.level = WarmLevel(1 << 20, CLOCK, Silence())
        receiver = WarmingReceiver(
            "there",
            self.level,
            MemoryLevel(MemorySettings(), Silence()),
            envelope=Envelope(SECRET, "warm"),
            instruction_set="avx2",
            regions_of=lambda: {"any": {"here", "there"}},
            rate=1e9,
            clock=CLOCK,
            telemetry=self.telemetry,
        )
        self.listener = WarmingListener(
            "there",
            receiver,
            SIGNER,
            is_region=lambda name: name in {"here", "there"},
            clock=CLOCK,
            telemetry=self.telemetry,
        )

    async def post(self, body: bytes, **headers: str) -> tuple[int, bytes]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{self.listener.port}{OFFER}"
            async with session.post(url, data=body, headers=named) as answer:
                return answer.status, await answer.read()

    @property
    def outcomes(self) -> list[tuple[str, str]]:
        return [(event.neighbour, event.outcome) for event in self.telemetry.of(CacheWarmed)]


def signed(body: bytes, signer: Signer = SIGNER, own: str = "here", to: str = "there") -> dict[str, str]:
    return {SENDER: own, SIGNATURE: signer.sign((own, to, OFFER), body, CLOCK.wall())}


@asynccontextmanager
async def there(tls: ssl.SSLContext | None = None) -> AsyncIterator[There]:
    made = There()
    await made.listener.start("127.0.0.1", 0, tls)
    try:
        yield made
    finally:
        await made.listener.aclose()
        await made.listener.aclose()


def links(port: int, signer: Signer = SIGNER, scheme: str = "http", **changes: Any) -> WarmingLinks:
    """The client of region ``here``."""
    trust = changes.pop("trust", None) or trusting_context()
    settings = WarmingSettings(to={"there": f"{scheme}://127.0.0.1:{port}"}, **changes)
    return WarmingLinks("here", settings, signer, trust, CLOCK)


async def test_an_offer_and_what_is_wanted_of_it() -> None:
    """Two messages over one connection; the answers are signed."""
    async with there() as made:
        link = links(made.listener.port)
        answer = await link("there", OFFER, msgspec.msgpack.encode(OFFERED))
        assert msgspec.msgpack.decode(answer, type=WantedKeys).places == (0,)
        sealed = Envelope(SECRET, "warm").seal(KEY, ENTRY)
        assert await link("there", VALUES, msgspec.msgpack.encode(Values(((KEY, sealed),)))) == b""
        assert "open: there" in repr(link)
        await link.aclose()

        assert await made.level.get(KEY) is not None
        assert made.outcomes == [("here", "wanted"), ("here", "kept")]
        assert f"port {made.listener.port}" in repr(made.listener)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {SENDER: "here", SIGNATURE: "nonsense"},
        signed(b"body", STRANGER),
        signed(b"body", to="elsewhere"),
        signed(b"body", own="unknown"),
        {**signed(b"body"), SENDER: "there"},
    ],
)
async def test_a_stranger_is_refused(headers: dict[str, str]) -> None:
    """Whatever it claims to be; it is counted without a name."""
    async with there() as made:
        status, _ = await made.post(b"body", **headers)

        assert (status, made.outcomes) == (403, [("", "stranger")])


@pytest.mark.parametrize(
    ("body", "sent", "outcome"),
    [
        (b"body", b"bodz", "stranger"),
        (b"", b"", "garbage"),
        (b"\xc1", b"\xc1", "garbage"),
        (b"\x91" * 100_000, b"\x91" * 100_000, "garbage"),
    ],
)
async def test_what_is_signed_and_no_offer_is_refused(body: bytes, sent: bytes, outcome: str) -> None:
    """Another body than the signed one, and one of a build that is not known."""
    async with there() as made:
        status, _ = await made.post(sent, **signed(body))

        assert (status, made.outcomes) == (403, [("here", outcome)])


async def test_a_message_that_does_not_come_in_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds a place only so long."""
    monkeypatch.setattr(warming_listener, "READ_S", 0.05)
    async with there() as made:
        reader, writer = await asyncio.open_connection("127.0.0.1", made.listener.port)
        lines = [
            f"POST {OFFER} HTTP/1.1",
            "Host: x",
            "Content-Length: 9",
            *map(": ".join, signed(b"b").items()),
        ]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        answered = await reader.read()
        writer.close()

    assert b" 403 " in answered.partition(b"\r\n")[0]


@pytest.mark.parametrize(
    ("changes", "why"),
    [({"signer": STRANGER}, "answers 403"), ({"scheme": "https"}, "no answer from https")],
)
async def test_a_client_says_what_is_wrong(changes: dict[str, Any], why: str) -> None:
    async with there() as made:
        link = links(made.listener.port, **changes)
        with pytest.raises(WarmingError, match=why):
            await link("there", OFFER, b"")
        await link.aclose()


async def test_over_tls(tmp_path: Path) -> None:
    """Nobody is believed but whom the authorities vouch for."""
    authority = Authority(tmp_path)
    issued = authority.issue("localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate, issued.key)
    trust = trusting_context(machine=False)
    trust.load_verify_locations(authority.root)
    async with there(context) as made:
        good, bad = (links(made.listener.port, scheme="https", trust=each) for each in (trust, None))
        answer = await good("there", OFFER, msgspec.msgpack.encode(OFFERED))
        with pytest.raises(WarmingError, match="no answer"):
            await bad("there", OFFER, b"")
        await asyncio.gather(good.aclose(), bad.aclose())

    assert msgspec.msgpack.decode(answer, type=WantedKeys).places == (0,)
