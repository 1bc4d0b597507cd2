"""What the protocol's extensions show and change: models, statistics, logging, tracing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import msgspec

from gateway.core.control import Log, Setting, Tracing
from gateway.core.errors import Fault, GatewayError
from gateway.core.operator import OperatorTokens
from gateway.core.repository import NoRepository, Repository
from gateway.core.statistics import Counted, Statistics
from gateway.http.exchange import Head
from gateway.listeners.data_plane import NAME
from gateway.wire import headers
from gateway.wire.oip.classification import ClassRules
from gateway.wire.oip.json_nan import JsonNan


class ProtocolSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the protocol's listeners allow.

    ``admin_calls``: whether models are loaded and unloaded, and logging and tracing changed, on the public
    ports too and not on the admin port alone, by whoever shows the operator's token; false by default.
    ``share_statistics``: whether a tenant sees all statistics of a model that others may use, too, which show
    what those do, and not those of its own requests alone; false by default. ``inflate_ratio``: how many
    times its size a compressed body may become, 100 by default (256 KiB are always allowed).
    ``compress_from_bytes``: answers smaller than this are sent as they are, whatever the client accepts, as
    are those of more than 256 KiB; 1024 by default. ``max_json_mib``: of the JSON of one request, 4 by
    default; more is refused (413), as it takes many times its size, even in a process of its own. Binary
    data has no such limit.
    ``json_nan``: ``literal``, the default, writes NaN and infinity as JSON as Triton does (``NaN``,
    ``-Infinity``), which Python's clients read and strict ones do not; ``refuse`` answers 400.
    ``server_name``: in the server's metadata, ``edgeway`` by default; clients written for another server
    may look for its name there, such as ``triton``.
    ``max_health_watches``: calls that watch the health at a time, 1000 by default.
    ``max_health_watches_per_address``: those of one address, 100 by default.
    """

    admin_calls: bool = False
    share_statistics: bool = False
    inflate_ratio: Annotated[int, msgspec.Meta(ge=1, le=1032)] = 100
    compress_from_bytes: Annotated[int, msgspec.Meta(ge=0)] = 1024
    max_json_mib: Annotated[int, msgspec.Meta(ge=1, le=64)] = 4
    json_nan: JsonNan = "literal"
    server_name: Annotated[str, msgspec.Meta(pattern=r"^[!-~]([ -~]{0,126}[!-~])?\Z")] = NAME
    max_health_watches: Annotated[int, msgspec.Meta(ge=1)] = 1000
    max_health_watches_per_address: Annotated[int, msgspec.Meta(ge=1)] = 100


class NoStatistics:
    """Statistics of a process that counts nothing."""

    def __repr__(self) -> str:
        return "<NoStatistics>"

    async def counted(self, tenant: str = "") -> Counted:  # noqa: ARG002
        """Return empty statistics."""
        return Counted()


class NoLog:
    """The log settings of a process in which nobody changes them."""

    def __repr__(self) -> str:
        return "<NoLog>"

    def read(self) -> dict[str, Setting]:
        """Return no settings."""
        return {}

    async def change(self, wanted: Mapping[str, object]) -> dict[str, Setting]:  # noqa: ARG002
        """Refuse every change."""
        raise GatewayError(Fault.UNSUPPORTED, "the log settings of this process are fixed when it starts")


class NoTracing:
    """The trace settings of a process in which nobody changes them."""

    def __repr__(self) -> str:
        return "<NoTracing>"

    def read(self) -> dict[str, list[str]]:
        """Return no settings."""
        return {}

    async def change(self, wanted: Mapping[str, Sequence[str] | None]) -> dict[str, list[str]]:  # noqa: ARG002
        """Refuse every change."""
        raise GatewayError(Fault.UNSUPPORTED, "the trace settings of this process are fixed when it starts")


@dataclass(frozen=True, slots=True)
class Extensions:
    """What a listener of the protocol needs beside its DataPlane."""

    repository: Repository = field(default_factory=NoRepository)
    statistics: Statistics = field(default_factory=NoStatistics)
    logging: Log = field(default_factory=NoLog)
    tracing: Tracing = field(default_factory=NoTracing)
    settings: ProtocolSettings = field(default_factory=ProtocolSettings)
    operator: OperatorTokens = field(default_factory=OperatorTokens)

    def class_rules(self, model: str) -> ClassRules:
        """Return how outputs of ``model`` are classified: this is where its labels come from."""
        known = self.repository.settings(model)
        return ClassRules(known.batches, known.labels)

    def is_operator(self, head: Head) -> bool:
        """Whether a request shows the operator's token, where this port takes it, and is no web page's."""
        shown = head.all(headers.AUTHORIZATION) if self.settings.admin_calls else []
        return (
            len(shown) == 1 and self.operator.accepts(shown[0]) and not headers.is_of_web_page(head.headers)
        )

    def check_admin(self, what: str, head: Head) -> None:
        """Refuse what only an operator may do, unless the settings open it to this port and it is one.

        Raises:
            GatewayError: FORBIDDEN, or UNAUTHENTICATED without the token.
        """
        if self.is_operator(head):
            return
        if not self.settings.admin_calls:
            raise GatewayError(
                Fault.FORBIDDEN,
                f"{what} is not allowed on this port: the operator does it on the admin port, or sets"
                " listen.protocol.admin_calls",
            )
        if headers.is_of_web_page(head.headers):
            raise GatewayError(Fault.FORBIDDEN, f"{what} is nothing that a web page may do")
        if not self.operator:
            raise GatewayError(
                Fault.FORBIDDEN,
                f"{what} needs the operator's token, and there is none: the operator sets"
                " listen.admin_access.tokens_sha256 or .token_file",
            )
        raise GatewayError(
            Fault.UNAUTHENTICATED, f"{what} needs the operator's token; send it as 'Bearer TOKEN'"
        )


_: tuple[type[Statistics], type[Log], type[Tracing]] = (NoStatistics, NoLog, NoTracing)
