"""What an operator reads and changes while a process runs: logs, traces, endpoints, caches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from gateway.core.cache_inspection import CacheQuestion, Inspection
from gateway.core.cache_report import CacheReport

Setting = bool | int | str


class Log(Protocol):
    """What is logged, by one process or by several as one."""

    def read(self) -> dict[str, Setting]:
        """Return the settings in force."""
        ...

    async def change(self, wanted: Mapping[str, object]) -> dict[str, Setting]:
        """Change the settings named in ``wanted``, all or none, and return those in force.

        Raises:
            GatewayError: INVALID; UNSUPPORTED.
        """
        ...


class Tracing(Protocol):
    """What is traced, by one process or by several as one."""

    def read(self) -> dict[str, list[str]]:
        """Return the settings in force, each a list of words."""
        ...

    async def change(self, wanted: Mapping[str, Sequence[str] | None]) -> dict[str, list[str]]:
        """Change the settings named in ``wanted``, all or none, and return those in force.

        None and nothing: as it was when the process started.

        Raises:
            GatewayError: INVALID; UNSUPPORTED.
        """
        ...


class EndpointControl(Protocol):
    """The endpoints of a gateway, as an operator sees and drains them."""

    async def listed(self) -> Sequence[Mapping[str, Any]]:
        """Return every endpoint in force with its members, and how they are."""
        ...

    async def drain(self, endpoint: str, member: str) -> None:
        """Send nothing new to an endpoint, or to one member of it where ``member`` is not empty.

        Raises:
            GatewayError: NOT_FOUND, INVALID.
        """
        ...

    async def undrain(self, endpoint: str, member: str) -> None:
        """Send there again.

        Raises:
            GatewayError: NOT_FOUND, INVALID.
        """
        ...


class CacheControl(Protocol):
    """The caches of a gateway, as an operator looks into them."""

    async def report(self, top: int) -> CacheReport:
        """Return what they hold and how they did; ``top``: how many models and tenants are named."""
        ...

    async def inspect(self, question: CacheQuestion) -> Inspection:
        """Return what is known of one answer.

        Raises:
            GatewayError: INVALID, NOT_FOUND: the question names nothing that there is.
        """
        ...


class NoCache:
    """The caches of a process that has none."""

    def __repr__(self) -> str:
        return "<NoCache>"

    async def report(self, top: int) -> CacheReport:  # noqa: ARG002 - there is nothing to name
        """Return that there are none."""
        return CacheReport()

    async def inspect(self, question: CacheQuestion) -> Inspection:  # noqa: ARG002
        """Return why nothing is kept."""
        return Inspection(reasons=(NO_CACHE,))


NO_CACHE: Final = "this gateway keeps no answers: its settings have no cache (`cache: {}` has the defaults)"

_: type[CacheControl] = NoCache
