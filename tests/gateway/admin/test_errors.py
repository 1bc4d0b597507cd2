"""Errors of the admin port."""

from __future__ import annotations

import msgspec

from gateway.admin.errors import RemoteError, error_response
from gateway.core.errors import Fault, GatewayError


def test_error_comes_back_as_it_was() -> None:
    """Another process raises what this one answered."""
    answer = error_response(GatewayError(Fault.NOT_FOUND, "no such model"))

    assert answer.status == 404
    error = msgspec.json.decode(answer.body, type=RemoteError).to_error()
    assert (error.fault, error.message) == (Fault.NOT_FOUND, "no such model")


def test_another_status_and_headers() -> None:
    """HTTP has more statuses than there are faults."""
    answer = error_response(GatewayError(Fault.FORBIDDEN, "no"), status=421, headers={"X": "y"})

    assert (answer.status, answer.headers["X"]) == (421, "y")
