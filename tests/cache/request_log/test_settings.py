"""Settings of the request log."""

from __future__ import annotations

import msgspec
import pytest

from cache.request_log.settings import RequestLogSettings


def test_a_file_is_enough() -> None:
    """One key in ten, tenants hashed."""
    settings = msgspec.convert({"file": "x"}, RequestLogSettings)
    assert (settings.sample, settings.tenants) == (0.1, "hashed")


@pytest.mark.parametrize("wrong", [{"file": ""}, {"sample": 0}, {"max_bytes": 1}, {"tenants": "x"}, {"a": 1}])
def test_out_of_bounds_is_refused(wrong: dict[str, object]) -> None:
    """As any setting."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"file": "x", **wrong}, RequestLogSettings)
