"""The garbage collector, held off or relieved of what stays."""

from __future__ import annotations

import gc

import pytest

from gateway.app.collector import freeze_what_stays, held_off


def test_held_off() -> None:
    """Until the end of the work, however it ends; and by who has held it off already, longer."""
    assert gc.isenabled()
    with pytest.raises(ValueError, match="wrong"), held_off():
        with held_off():
            assert not gc.isenabled()
        assert not gc.isenabled()
        raise ValueError("wrong")
    assert gc.isenabled()


def test_freeze_what_stays() -> None:
    """What there is now is not looked at again."""
    before = gc.get_freeze_count()
    try:
        kept: list[object] = [[]]
        freeze_what_stays()
        assert gc.get_freeze_count() > before
        assert not any(each is kept for each in gc.get_objects())
    finally:
        gc.unfreeze()
