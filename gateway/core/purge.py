"""What an operator has invalidated, and who obeys: orders and reports of `edgeway cache purge`."""

from __future__ import annotations

from typing import Annotated, Final, Protocol

import msgspec

from gateway.core.errors import Fault, GatewayError

_Name = Annotated[str, msgspec.Meta(max_length=256)]


class PurgeOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The answers that are no longer to be given: those that fit every field which is not empty.

    ``all``: every one; nothing else is named then. ``regions``: whose gateways obey; empty: all. ``wait_s``:
    seconds to wait until all have it. ``dry_run``: only say what it would concern.
    """

    all: bool = False
    model: _Name = ""
    tenant: _Name = ""
    tag: _Name = ""
    regions: Annotated[tuple[_Name, ...], msgspec.Meta(max_length=64)] = ()
    wait_s: Annotated[float, msgspec.Meta(ge=0, le=50)] = 0.0
    dry_run: bool = False


class PurgeReader(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway process that reads the log: its name, its region, and whether it has the invalidation."""

    name: str
    region: str
    has_it: bool


class PurgeReport(msgspec.Struct, frozen=True, kw_only=True):
    """What has come of an order.

    ``made``: the invalidations, as the processes of one gateway pass them on. ``routes``: of the policy,
    whose answers may be meant. ``remarks``: what the operator should know. ``is_everywhere``: whether a log
    carries it to all regions; else it holds for this gateway alone. ``readers``, ``unheard``: who has
    it by now, and the regions of which nobody reads the log; None: nobody has looked.
    """

    made: tuple[msgspec.Raw, ...] = ()
    routes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    is_everywhere: bool = False
    readers: tuple[PurgeReader, ...] | None = None
    unheard: tuple[str, ...] = ()


class Purges(Protocol):
    """The kept answers of a gateway, as an operator has them invalidated."""

    async def purge(self, order: PurgeOrder) -> PurgeReport:
        """Do as ``order`` says, without waiting for anybody.

        Raises:
            GatewayError: INVALID.
        """
        ...

    async def take(self, made: tuple[msgspec.Raw, ...]) -> None:
        """Obey invalidations that another process of this gateway has made."""
        ...

    async def receipts(self, report: PurgeReport, wait_s: float) -> PurgeReport:
        """Return ``report`` with who has it, after ``wait_s`` at most."""
        ...


class NoPurges:
    """Of a process that keeps no answers."""

    def __repr__(self) -> str:
        return "<NoPurges>"

    async def purge(self, order: PurgeOrder) -> PurgeReport:  # noqa: ARG002
        """Refuse."""
        raise GatewayError(Fault.UNSUPPORTED, f"there is nothing to purge: {_NO_CACHE}")

    async def take(self, made: tuple[msgspec.Raw, ...]) -> None:
        """Nothing is kept here."""

    async def receipts(self, report: PurgeReport, wait_s: float) -> PurgeReport:  # noqa: ARG002
        """Return ``report``."""
        return report


_NO_CACHE: Final = "this gateway keeps no answers, its settings have no cache"

_: type[Purges] = NoPurges
