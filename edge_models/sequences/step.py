"""A request as one step of a sequence."""

from __future__ import annotations

from typing import Final, NamedTuple

from gateway.core.errors import Fault, GatewayError, printable
from gateway.core.request import SEQUENCE, SEQUENCE_END, SEQUENCE_START, Request

MOST_ID_BYTES: Final = 128

SequenceId = int | str
SequenceKey = tuple[str, str, SequenceId]
"""Whose sequence it is (tenant and residency class) and its id: nobody can take over another tenant's.

A central tier checks nobody. There the tenant is whom an edge names, believed or not: what it gives is only
that sequences are told apart."""


class Step(NamedTuple):
    """Where a request stands in its sequence."""

    key: SequenceKey
    is_start: bool
    is_end: bool

    @property
    def id(self) -> SequenceId:
        """The id of the sequence; a number and the text of it are two sequences."""
        return self.key[2]


def step_of(request: Request, rows: int) -> Step:
    """Return which step ``request``, of ``rows`` rows, is. Texts are Triton's.

    Raises:
        GatewayError: INVALID when it is none.
    """
    if rows > 1:
        raise GatewayError(
            Fault.INVALID,
            f"inference request to model '{request.model}' must specify batch-size 1 due to requirements of "
            "sequence batcher",
        )
    parameters = request.parameters
    number = parameters.get(SEQUENCE)
    # Listeners have checked what it is; one of 0, and an empty one, mean that there is none.
    if not number or isinstance(number, float):
        raise GatewayError(
            Fault.INVALID,
            f"inference request to model '{request.model}' must specify a non-zero or non-empty "
            "correlation ID",
        )
    if isinstance(number, str) and len(number.encode()) > MOST_ID_BYTES:
        raise GatewayError(
            Fault.INVALID, f"parameter '{SEQUENCE}' must not be longer than {MOST_ID_BYTES} bytes"
        )
    caller = request.caller
    return Step(
        (caller.claimed or caller.tenant, caller.residency, number),
        parameters.get(SEQUENCE_START) is True,
        parameters.get(SEQUENCE_END) is True,
    )


def must_start(model: str, sequence: SequenceId) -> GatewayError:
    """Return the error for a step of a sequence that is not there: it has not begun, has ended or is lost."""
    return GatewayError(
        Fault.INVALID,
        f"inference request for sequence {printable(str(sequence), MOST_ID_BYTES)} to model '{model}' must "
        "specify the START flag on the first request of the sequence",
    )
