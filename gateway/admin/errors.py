"""Errors of the admin port, and between processes of one gateway."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from aiohttp import web

from gateway.core.errors import Fault, GatewayError, without_folders
from gateway.wire.faults import STATUSES


class RemoteError(msgspec.Struct):
    """An error as JSON, so that another process of this gateway can raise it again."""

    error: str
    fault: Fault

    def to_error(self) -> GatewayError:
        """Return the error."""
        return GatewayError(self.fault, self.error)


def error_response(
    error: GatewayError, *, status: int | None = None, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return the answer of an error; ``status``: another than the fault's."""
    return web.Response(
        body=msgspec.json.encode(RemoteError(without_folders(error.message), error.fault)),
        status=status or STATUSES[error.fault].http,
        content_type="application/json",
        headers=headers,
    )
