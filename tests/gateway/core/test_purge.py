"""Orders to purge, as they come in; and a process that keeps nothing."""

from __future__ import annotations

import msgspec
import pytest

from gateway.core.errors import Fault, GatewayError
from gateway.core.purge import NoPurges, PurgeOrder, PurgeReport


@pytest.mark.parametrize(
    "body", ['{"model": 1}', '{"colour": "red"}', '{"wait_s": 1e9}', '{"model": "%s"}' % ("a" * 257)]
)
def test_an_order_is_read_strictly(body: str) -> None:
    """No unknown field, nothing endless."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(body, type=PurgeOrder)


async def test_where_nothing_is_kept_nothing_is_purged() -> None:
    """The operator is told why; other workers may say what they like."""
    purges, report = NoPurges(), PurgeReport()
    with pytest.raises(GatewayError, match="keeps no answers") as refused:
        await purges.purge(PurgeOrder(all=True))
    await purges.take(())

    assert refused.value.fault is Fault.UNSUPPORTED
    assert await purges.receipts(report, 1.0) is report
    assert repr(purges) == "<NoPurges>"
