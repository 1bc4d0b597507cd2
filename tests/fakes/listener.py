"""The listener as a gateway opens it: one port, REST and gRPC, over a DataPlane that the test makes.

Example::

    listener = listener_of(fake_data_plane(service))
    await listener.start("127.0.0.1", 0)
"""

from __future__ import annotations

from typing import Any

from gateway.http.server.listener import HttpListener
from gateway.http.server.settings import TransportSettings
from gateway.listeners.data_plane import DataPlane
from gateway.listeners.oip.extensions import Extensions
from gateway.listeners.oip.grpc.application import GrpcApplication
from gateway.listeners.oip.rest.application import RestApplication
from gateway.listeners.oip.rest.responses import INTERNAL_ERROR
from gateway.listeners.protocol_router import ProtocolRouter, is_grpc


def listener_of(
    data_plane: DataPlane,
    settings: TransportSettings | None = None,
    *,
    extensions: Extensions | None = None,
    **options: Any,
) -> HttpListener:
    """Return a listener that is not started yet."""
    application = ProtocolRouter(
        (is_grpc, GrpcApplication(data_plane, extensions)), otherwise=RestApplication(data_plane, extensions)
    )
    return HttpListener(application, data_plane.clock, settings, fallback=INTERNAL_ERROR, **options)
