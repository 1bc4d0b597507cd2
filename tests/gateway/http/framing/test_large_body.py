"""Bodies come together whole, whatever they came in, and large ones are cut without a copy."""

from __future__ import annotations

import pytest

from gateway.http.framing.large_body import LARGE_BYTES, SLICE_BYTES, BodyCollector, slices


@pytest.mark.parametrize("sizes", [[], [0], [5], [1] * 3000, [LARGE_BYTES, 1], [70_000] * 40, [3 << 20]])
def test_what_is_collected_is_what_came(sizes: list[int]) -> None:
    """Small, large at once, and large little by little."""
    parts = [bytes([place % 251]) * size for place, size in enumerate(sizes)]
    body = BodyCollector(4 << 20)
    for part in parts:
        body.add(part)

    assert bytes(body.whole()) == b"".join(parts)
    assert (body.size, repr(body)) == (sum(sizes), f"<BodyCollector {sum(sizes)} bytes>")


def test_a_large_body_is_a_view_and_outlives_its_collector() -> None:
    """And nobody writes to it."""
    body = BodyCollector(4 << 20)
    body.add(bytes(2 << 20))
    whole = body.whole()
    del body

    assert isinstance(whole, memoryview)
    assert (whole.readonly, len(whole)) == (True, 2 << 20)


def test_slices() -> None:
    """The last comes first; a part that is small stays as it is."""
    parts = [b"head", bytes(2 * SLICE_BYTES + 1), b"tail"]
    cut = slices([*parts])

    assert [len(part) for part in reversed(cut)] == [4, SLICE_BYTES, SLICE_BYTES, 1, 4]
    assert b"".join(reversed(cut)) == b"".join(parts)
    assert slices([]) == []
