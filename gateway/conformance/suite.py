"""All checks, area by area, in the order in which they run: what may hurt the server comes late."""

from __future__ import annotations

from typing import Final

from gateway.conformance.areas import (
    binary,
    compression,
    datatypes,
    errors,
    generate,
    grpc_calls,
    grpc_infer,
    grpc_stream,
    http,
    infer,
    leaving,
    model,
    parameters,
    parity,
    policy_headers,
    repository,
    server,
    statistics,
)
from gateway.conformance.check import Check

AREAS: Final = tuple(
    module.AREA
    for module in (
        server,
        model,
        infer,
        datatypes,
        binary,
        compression,
        parameters,
        statistics,
        repository,
        generate,
        grpc_calls,
        grpc_infer,
        grpc_stream,
        parity,
        errors,
        http,
        policy_headers,
        leaving,
    )
)

NAMES: Final = tuple(area.name for area in AREAS)
CHECKS: Final[tuple[Check, ...]] = tuple(check for area in AREAS for check in area.checks)


def chosen(areas: tuple[str, ...]) -> tuple[Check, ...]:
    """Return the checks of some areas, or all when none is named."""
    return tuple(check for check in CHECKS if not areas or check.area in areas)
