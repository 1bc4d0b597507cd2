"""The settings of warm fail-over."""

from __future__ import annotations

import msgspec
import pytest

from cache.settings import CacheSettings
from cache.warming.settings import WarmingSettings


def test_what_is_shown() -> None:
    """Neither files nor addresses of others."""
    assert repr(WarmingSettings()) == "<WarmingSettings to nobody, from nobody>"
    shown = repr(WarmingSettings(to={"us": "https://10.0.0.1:9000"}, listen="0.0.0.0:9000"))
    assert shown == "<WarmingSettings to us, from 0.0.0.0:9000>"


@pytest.mark.parametrize("url", ["ftp://a:1", "http://user:pass@a:1", "http://a:1/path", "a:1"])
def test_a_url_is_a_scheme_and_an_address(url: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"to": {"us": url}}, WarmingSettings)


def test_neighbours_need_a_secret() -> None:
    """The error says how to make one."""
    with pytest.raises(ValueError, match=r"openssl rand -hex 32.*all regions"):
        CacheSettings(warming=WarmingSettings())
    assert CacheSettings(warming=WarmingSettings(), key_secret="ab" * 32).warming is not None
