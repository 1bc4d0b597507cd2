"""The bounds under which work stays on the event loop, and what does it there."""

from __future__ import annotations

import pytest

from gateway.core.errors import Fault, GatewayError
from gateway.core.offload import Here
from gateway.wire.oip.json import decode_request


async def test_work_is_done_here() -> None:
    """Its result, and its errors, come as they are."""
    inference = await Here()(decode_request, b'{"inputs":[],"id":"7"}', None)

    assert inference.id == "7"
    with pytest.raises(GatewayError) as caught:
        await Here()(decode_request, b"{", None)
    assert caught.value.fault is Fault.INVALID
