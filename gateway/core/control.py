"""What an operator changes while a process runs: what it logs and traces, and where it sends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

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
