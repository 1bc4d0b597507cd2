"""How places in a file are written."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.config.paths import Path_, spell

VALUES: Any = {"routes": [{"name": "canary", "match": {}}, {"name": 5}, "text"]}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (("routes", 0, "match", "percnt"), 'routes[0] ("canary").match.percnt'),
        (("routes", 1, "name"), "routes[1].name"),
        (("routes", 2), "routes[2]"),
        (("routes", 9, "name"), "routes[9].name"),
        (("other", 0, "a.b"), "other[0].a.b"),
        (("a b", "\n"), '"a b"."\\n"'),
        (("k" * 200,), '"' + "k" * 64 + '…"'),
        ((), ""),
    ],
)
def test_items_have_their_names(path: Path_, expected: str) -> None:
    """A list's item is called by its name, if it has one; what is no plain word is quoted."""
    assert spell(path, VALUES) == expected
