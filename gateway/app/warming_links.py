"""The client side of warm fail-over: one connection to each neighbour, signed messages, signed answers."""

from __future__ import annotations

import asyncio
import ssl
from typing import Final

import aiohttp

from cache.warming.messages import MOST_BODY_BYTES, SENDER, SIGNATURE, Signer
from cache.warming.sender import WarmingError
from cache.warming.settings import WarmingSettings
from gateway.core.clock import Clock
from gateway.core.errors import printable

_OK: Final = 200
_SHOWN_BYTES: Final = 300


class WarmingLinks:
    """Sends messages of the region ``own``; an answer that is not signed by a gateway is none."""

    def __init__(
        self, own: str, settings: WarmingSettings, signer: Signer, trust: ssl.SSLContext, clock: Clock
    ) -> None:
        self._own, self._settings, self._signer = own, settings, signer
        self._trust, self._clock = trust, clock
        self._sessions: dict[str, aiohttp.ClientSession] = {}

    def __repr__(self) -> str:
        return f"<WarmingLinks of {self._own}, open: {', '.join(sorted(self._sessions)) or 'none'}>"

    async def __call__(self, region: str, purpose: str, body: bytes) -> bytes:
        """Return the body of the answer to a message.

        Raises:
            WarmingError: there is none, or none that a gateway with our secret has signed.
        """
        question = self._signer.sign((self._own, region, purpose), body, self._clock.wall())
        headers = {SIGNATURE: question, SENDER: self._own, "Content-Type": "application/msgpack"}
        url = self._settings.to[region] + purpose
        try:
            async with self._session(region).post(
                url, data=body, headers=headers, allow_redirects=False
            ) as answer:
                content = await _bounded(answer)
                signature = answer.headers.get(SIGNATURE, "")
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            why = printable(str(error), 200) or type(error).__name__
            raise WarmingError(f"no answer from {url}: {why}") from error
        if answer.status != _OK:
            raise WarmingError(
                f"{url} answers {answer.status}: {printable(content[:_SHOWN_BYTES].decode(errors='replace'))}"
            )
        if not self._signer.is_answer(question, content, signature):
            raise WarmingError(f"what answers at {url} does not have this gateway's cache.key_secret")
        return content

    async def aclose(self) -> None:
        """Close all connections."""
        sessions, self._sessions = list(self._sessions.values()), {}
        await asyncio.gather(*[session.close() for session in sessions])

    def _session(self, region: str) -> aiohttp.ClientSession:
        """Return the session with a neighbour: one connection, so that one of its workers gets all of it."""
        found = self._sessions.get(region)
        if found is None:
            found = self._sessions[region] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=1, ssl=self._trust, keepalive_timeout=600),
                timeout=aiohttp.ClientTimeout(total=self._settings.timeout_s),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return found


async def _bounded(answer: aiohttp.ClientResponse) -> bytes:
    """Return the body; one that goes on and on is cut, and fits no signature."""
    content = bytearray()
    async for chunk in answer.content.iter_any():
        content += chunk
        if len(content) > MOST_BODY_BYTES:
            answer.close()
            break
    return bytes(content)
