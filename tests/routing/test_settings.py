"""Settings of routing."""

from __future__ import annotations

import msgspec
import pytest

from routing.settings import GeoSettings


def test_any_age_will_do_by_default() -> None:
    """Only the path is needed."""
    assert GeoSettings(database="x.mmdb").max_age_days is None


@pytest.mark.parametrize("wrong", [{}, {"database": "x", "max_age_days": 0}, {"database": "x", "mode": 1}])
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    """A missing path, an age of no days and an unknown field are errors."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, GeoSettings)
