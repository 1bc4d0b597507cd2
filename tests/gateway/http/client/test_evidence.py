"""What an answer says about the address that gave it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from unittest.mock import AsyncMock

import pytest

from gateway.http.client.addresses import Addresses
from gateway.http.client.evidence import Evidence, note_answer


@dataclass
class At:
    """A connection to an address."""

    address: str


@pytest.fixture
async def addresses(monkeypatch: pytest.MonkeyPatch) -> Addresses:
    """Two of one name."""

    found = [(2, 1, 6, "", (address, 80)) for address in ("10.0.0.1", "10.0.0.2")]
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", AsyncMock(return_value=found))
    addresses = Addresses("two", 80, timeout_s=1, refresh_s=1)
    await addresses.resolve()
    return addresses


async def test_an_address_that_fails_is_left(addresses: Addresses):
    """All connections to it are, where another address is not suspect."""
    one, same, other = At("10.0.0.1"), At("10.0.0.1"), At("10.0.0.2")

    assert note_answer(addresses, one, Evidence.FAILS, [one, same, other]) == [one, same]
    assert addresses.is_suspect("10.0.0.1")
    assert note_answer(addresses, other, Evidence.FAILS, [other]) == []


async def test_an_answer_acquits_its_address(addresses: Addresses):
    """Nothing is held against it any more."""
    one = At("10.0.0.1")
    note_answer(addresses, one, Evidence.FAILS, [one])

    assert note_answer(addresses, one, Evidence.NONE, [one]) == []
    assert addresses.is_suspect("10.0.0.1")
    assert note_answer(addresses, one, Evidence.WORKS, [one]) == []
    assert not addresses.is_suspect("10.0.0.1")
