"""A request with one field changed.

``dataclasses.replace`` reads the list of fields for each copy and takes twice as long; these run on
every request, so they name the fields.
"""

from __future__ import annotations

from gateway.core.request import Caller, Request


def with_deadline(request: Request, deadline: float) -> Request:
    """Return ``request`` due at ``deadline``, in loop time."""
    return _copy(request, request.caller, deadline, request.attempt)


def with_caller(request: Request, caller: Caller) -> Request:
    """Return ``request`` as asked by ``caller``."""
    return _copy(request, caller, request.deadline, request.attempt)


def with_attempt(request: Request, attempt: int) -> Request:
    """Return ``request`` as attempt number ``attempt``."""
    return _copy(request, request.caller, request.deadline, attempt)


def _copy(request: Request, caller: Caller, deadline: float, attempt: int) -> Request:
    return Request(
        model=request.model,
        inputs=request.inputs,
        id=request.id,
        version=request.version,
        outputs=request.outputs,
        parameters=request.parameters,
        caller=caller,
        deadline=deadline,
        attempt=attempt,
        regions=request.regions,
        hops=request.hops,
        trace=request.trace,
    )
