"""Within whom requests may share a batch."""

from __future__ import annotations

import pytest

from edge_models.batch_scope import SCOPES
from gateway.core.request import Caller

PAIRS = {
    "another address": (Caller("192.0.2.1", "a", residency="eu"), Caller("192.0.2.2", "a", residency="eu")),
    "another tenant": (Caller(tenant="a", residency="eu"), Caller(tenant="b", residency="eu")),
    "another class": (Caller(tenant="a", residency="eu"), Caller(tenant="a", residency="us")),
    "another that central is told of": (Caller(claimed="a"), Caller(claimed="b")),
    "moved letters": (Caller(tenant="a", residency="bc"), Caller(tenant="ab", residency="c")),
}
TOGETHER = {
    "tenant": {"another address"},
    "residency": {"another address", "another tenant", "another that central is told of"},
}


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("which", PAIRS)
def test_who_shares(scope, which):
    """A tenant within its class, or the class."""
    one, other = PAIRS[which]

    assert (SCOPES[scope](one) == SCOPES[scope](other)) == (which in TOGETHER[scope])
