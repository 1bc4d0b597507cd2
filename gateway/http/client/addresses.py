"""The addresses of one endpoint's name, and in which order they are worth trying."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable
from itertools import zip_longest
from typing import Final

_SUSPECT_S: Final = 5.0
_LONGEST_S: Final = 60.0
_PATIENCE_S: Final = 0.1
"""How long a renewed look-up is waited for while known addresses can be used: a resolver that hangs must not
stop requests."""

_DOUBLINGS: Final = 16


class Addresses:
    """Looks the name up, at most once per ``refresh_s`` seconds, and remembers which addresses failed.

    An address that failed is tried after all others for 5 s, twice as long with each further failure in a
    row, at most 60 s. Only an answer that shows that it works ends this, not an accepted connection. The
    others are in the resolver's order (RFC 6724), IPv6 and IPv4 in turns (RFC 8305): where one of the two
    does not work, that costs one attempt.

    Args:
        host: a name, or an address without brackets.
        port: of TCP.
        timeout_s: seconds for looking up the name.
        refresh_s: seconds for which a result of the look-up is used.
    """

    def __init__(self, host: str, port: int, *, timeout_s: float, refresh_s: float) -> None:
        self._host, self._port = host, port
        self._timeout_s, self._refresh_s = timeout_s, refresh_s
        self.is_name = not _is_address(host)
        self._found: list[str] = [] if self.is_name else [host]
        self._expires = 0.0
        self._failures: dict[str, tuple[int, float]] = {}
        self._looking: asyncio.Future[list[str]] | None = None

    def __repr__(self) -> str:
        failed = f", {len(self._failures)} failed" if self._failures else ""
        return f"<Addresses of {self._host}, {len(self._found)}{failed}>"

    def __contains__(self, address: str) -> bool:
        return not self.is_name or address in self._found

    async def resolve(self) -> list[str]:
        """Return the addresses in the order in which to try them.

        Raises:
            OSError: the name is not known, and never was.
        """
        if self.is_name and (not self._found or _now() >= self._expires):
            await self._refresh()
        return sorted(self._found, key=self._suspicion)

    def expire(self) -> None:
        """Ask for the name again next time: it may point elsewhere by now."""
        self._expires = 0.0

    def failed(self, address: str) -> None:
        """Try ``address`` after the others for a while."""
        if address not in self._found:
            return
        count, _ = self._failures.get(address, (0, 0.0))
        suspect_s = min(_SUSPECT_S * 2 ** min(count, _DOUBLINGS), _LONGEST_S)
        self._failures[address] = (count + 1, _now() + suspect_s)
        self._expires = 0.0

    def answered(self, address: str) -> None:
        """Forget the failures of ``address``."""
        if self._failures:
            self._failures.pop(address, None)

    def is_suspect(self, address: str) -> bool:
        """Whether it failed recently, so that the others are tried first."""
        return self._suspicion(address) > 0

    def leave(self, used: Iterable[str]) -> bool:
        """Count ``used`` as failed; return whether there is another address that is not suspect."""
        for address in set(used):
            self.failed(address)
        return len(self._found) > 1 and not all(map(self.is_suspect, self._found))

    def close(self) -> None:
        """Cancel the look-up of the name."""
        if self._looking is not None:
            self._looking.cancel()

    def _suspicion(self, address: str) -> float:
        _, until = self._failures.get(address, (0, 0.0))
        return max(0.0, until - _now())

    async def _refresh(self) -> None:
        if self._looking is None:
            # One look-up at a time: it runs in a thread, and one that hangs cannot be cancelled.
            self._looking = asyncio.ensure_future(self._look_up())
            self._looking.add_done_callback(self._looked)
        try:
            async with asyncio.timeout(min(_PATIENCE_S, self._timeout_s) if self._found else self._timeout_s):
                await asyncio.shield(self._looking)
        except OSError:
            if not self._found:
                raise
            # The last known addresses are better than none.

    async def _look_up(self) -> list[str]:
        loop = asyncio.get_running_loop()
        try:
            entries = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except UnicodeError as error:
            raise OSError("the name cannot be one") from error
        self._found = _taking_turns([(int(entry[0]), str(entry[4][0])) for entry in entries])
        self._failures = {name: known for name, known in self._failures.items() if name in self._found}
        self._expires = _now() + self._refresh_s
        return self._found

    def _looked(self, looking: asyncio.Future[list[str]]) -> None:
        self._looking = None
        # Those who wait get the error. It is read here so that asyncio does not report it when nobody waits.
        if not looking.cancelled():
            looking.exception()


def address_of(transport: asyncio.BaseTransport) -> str:
    """Return the peer's address; empty when that is not known."""
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) else ""


def _taking_turns(entries: list[tuple[int, str]]) -> list[str]:
    families: dict[int, list[str]] = {}
    for family, address in dict.fromkeys(entries):
        families.setdefault(family, []).append(address)
    return [address for row in zip_longest(*families.values()) for address in row if address is not None]


def _now() -> float:
    return asyncio.get_running_loop().time()


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
