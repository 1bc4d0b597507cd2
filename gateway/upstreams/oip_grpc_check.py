"""Whether a gRPC server is ready: by gRPC's health service, or the protocol's own method."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

from gateway.core.errors import GatewayError, Why, printable
from gateway.core.verdict import Verdict
from gateway.http.client.http2_connection import Http2ClientConnection
from gateway.http.framing.http2_client import Header
from gateway.upstreams import oip_grpc_call as grpc_call
from gateway.upstreams.failures import Failures
from gateway.upstreams.tls_refusals import HandshakeRefusedError
from gateway.wire.grpc_framing import prefix
from gateway.wire.oip import proto as oip_proto
from gateway.wire.proto import messages

_MAX_MESSAGE_CHARS: Final = 200
_HEALTH: Final = "grpc.health.v1.Health"
_SERVING: Final = 1
_CHECKS: Final[tuple[tuple[str, str, Any, Callable[[Any], bool]], ...]] = (
    ("Check", _HEALTH, messages.HealthCheckResponse, lambda message: bool(message.status == _SERVING)),
    ("ServerReady", messages.SERVICE, messages.ServerReadyResponse, lambda message: bool(message.ready)),
)
"""The method and its service, its answer, and how to read it."""

_UNKNOWN_METHOD: Final = frozenset({5, 12})
"""NOT_FOUND, UNIMPLEMENTED."""

_NOT_FOR_US: Final = frozenset({7, 8, 16})
"""PERMISSION_DENIED, RESOURCE_EXHAUSTED, UNAUTHENTICATED: the server works."""


async def check_health(
    connection: Http2ClientConnection, method: Callable[[str, str], Sequence[Header]], failures: Failures
) -> Verdict:
    """Ask over ``connection``; ``method`` returns the headers of a call, by its name and its service.

    Raises:
        LostError, ResetError, FramingError: there is no answer; also the others of the connection.
    """
    for name, service, kind, reads in _CHECKS:
        _, answer = connection.send([*method(name, service)], (prefix(0),), math.inf)
        try:
            body, _ = grpc_call.read_answer(await answer)
            is_well = reads(oip_proto.parse(kind, bytes(body)))
        except grpc_call.StatusError as error:
            if error.code in _UNKNOWN_METHOD:
                continue
            if error.code in _NOT_FOR_US:
                return Verdict()
            return failures.not_ready(printable(error.message, _MAX_MESSAGE_CHARS))
        except HandshakeRefusedError as error:
            return Verdict(failures.handshake(error.found).why)
        except (grpc_call.BrokenAnswerError, GatewayError):
            return Verdict(Why("protocol", answered=True))
        return Verdict() if is_well else Verdict(Why("not_ready", answered=True))
    # It answers, and knows neither method.
    return Verdict()
