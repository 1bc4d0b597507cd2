"""The policy's own table of networks."""

from __future__ import annotations

import random
from ipaddress import ip_address, ip_network

import pytest

from routing.network_table import NetworkTable, located
from routing.networks import Network
from routing.place import Place

TABLE: dict[str, str | Network] = {
    "10.0.0.0/8": "DE",
    "10.1.0.0/16": Network(place="US-CA", asn=64500),
    "10.1.2.0/24": Network(asn=64501),
    "10.1.2.3/32": "EU",
    "10.2.0.0/16": "SAU",
    "fd00::/8": "SE",
    "fd00:1::/32": Network(place="NA"),
}


def of_database(address: str) -> Place | None:
    """Every second network is known to the database."""
    return Place("JP", "AS", ("JP-13",), 7) if address.startswith(("10.", "8.")) else None


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("10.9.9.9", Place("DE", "EU", (), 7)),
        ("10.1.9.9", Place("US", "NA", ("US-CA",), 64500)),
        ("10.1.2.9", Place("JP", "AS", ("JP-13",), 64501)),
        ("10.1.2.3", Place("", "EU", (), 7)),
        ("10.2.9.9", Place("SA", "AS", (), 7)),
        ("fd77::1", Place("SE", "EU")),
        ("fd00:1::1", Place("", "NA")),
        ("::ffff:10.9.9.9", Place("DE", "EU")),
        ("8.8.8.8", Place("JP", "AS", ("JP-13",), 7)),
        ("9.9.9.9", None),
        ("::a09:909", None),
        ("", None),
        ("not an address", None),
        ("proxy 10.9.9.9", None),
        ("10.9.9.9.9" * 1000, Place("JP", "AS", ("JP-13",), 7)),
    ],
)
def test_the_smallest_network_decides_before_the_database(address: str, place: Place | None) -> None:
    """What its entry leaves out is as the database has it."""
    assert located(TABLE, of_database)(address) == place


def test_an_asn_alone_says_nothing_of_the_place() -> None:
    """Nor does it make one known that the database does not know."""
    locate = located({"192.0.2.0/24": Network(asn=64500)}, lambda _: None)

    assert locate("192.0.2.1") == Place(asn=64500)


@pytest.mark.parametrize("entry", ["XX", "", "US-", Network(), Network(place="nowhere")])
def test_what_is_no_code_makes_nothing_known(entry: str | Network) -> None:
    """The linter refuses it; if it came so far, residency would still take the client for one of nowhere."""
    assert located({"192.0.2.0/24": entry}, lambda _: None)("192.0.2.1") in {None, Place()}


def test_without_a_table_the_database_is_asked_itself() -> None:
    """Nothing stands in between."""
    assert located({}, of_database) is of_database


def test_the_database_may_be_replaced_below() -> None:
    """What it says is not remembered here."""
    places: list[Place | None] = [Place("FR", "EU", (), 1), Place("GB", "EU", (), 2)]
    locate = located({"192.0.2.0/24": Network(asn=64500)}, lambda _: places.pop(0))

    assert locate("192.0.2.1") == Place("FR", "EU", (), 64500)
    assert locate("192.0.2.1") == Place("GB", "EU", (), 64500)


def test_it_finds_what_trying_every_network_finds() -> None:
    """Of many random networks, nested in each other."""
    chance = random.Random(14)
    networks = {
        str(ip_network((chance.getrandbits(size) & mask, length), strict=False)): "DE"
        for size, mask, longest in ((32, 0x0A0FFFFF, 32), (128, (0xFD << 120) | 0xFFFF << 96, 64))
        for length in range(1, longest, 3)
        for _ in range(8)
    }
    table = NetworkTable({text: Network(asn=number + 1) for number, text in enumerate(networks)})
    known = [(ip_network(text), number + 1) for number, text in enumerate(networks)]

    found = 0
    for network, _ in known:
        address = ip_address(int(network.network_address) | chance.getrandbits(4))
        within = [(other.prefixlen, asn) for other, asn in known if address in other]
        expected = max(within, default=None)
        entry = table.find(str(address))
        assert (entry and entry.asn) == (expected and expected[1])
        found += entry is not None
    assert found > 100
    assert repr(table) == f"<NetworkTable of {len(networks)}>"


def test_a_network_that_is_none_is_an_error() -> None:
    """The linter has refused it before."""
    with pytest.raises(ValueError, match="host bits"):
        NetworkTable({"10.0.0.1/8": "DE"})
