"""Memory that clients share with a server: here there is none, as REST and gRPC both say.

Clients that know it begin by unregistering all regions, which is no error where there are none.
"""

from __future__ import annotations

from typing import Final

from gateway.core.errors import Fault, GatewayError, printable

NO_SHARED_MEMORY: Final = "shared memory with clients is not supported: send tensors in the request"


def refusal() -> GatewayError:
    """Return why no region can be registered."""
    return GatewayError(Fault.UNSUPPORTED, NO_SHARED_MEMORY)


def check(memory: str, region: str) -> None:
    """Refuse a question about a region that is named; ``memory``: system or cuda.

    Raises:
        GatewayError: NOT_FOUND, in the words in which clients look for it.
    """
    if region:
        raise GatewayError(
            Fault.NOT_FOUND, f"Unable to find {memory} shared memory region: '{printable(region)}'"
        )
