"""One module for each area of the protocol.

This list is all that `edgeway conformance --help` imports of the suite.
"""

from __future__ import annotations

from typing import Final

AREAS: Final = (
    "server",
    "model",
    "infer",
    "datatypes",
    "binary",
    "compression",
    "parameters",
    "statistics",
    "repository",
    "generate",
    "grpc",
    "grpc-infer",
    "grpc-stream",
    "parity",
    "errors",
    "http",
    "policy-headers",
    "leaving",
)
"""The areas in the order in which they run: checks that may harm the server come late."""
