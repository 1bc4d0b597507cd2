"""What an operator has taken out of service."""

from __future__ import annotations

from gateway.app.pools.drained import Drained


def test_names_stay_drained_until_they_are_undrained() -> None:
    """Twice is once, and undraining what is not drained changes nothing."""
    drained = Drained()
    assert repr(drained) == "<Drained nothing>"

    for name in ("central", "central", "spare/10.0.0.1:80"):
        drained.drain(name)

    assert "central" in drained
    assert drained.names == {"central", "spare/10.0.0.1:80"}
    assert repr(drained) == "<Drained central spare/10.0.0.1:80>"
    drained.undrain("central")
    drained.undrain("other")
    assert drained.names == {"spare/10.0.0.1:80"}
