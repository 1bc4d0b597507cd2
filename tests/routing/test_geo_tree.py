"""The search tree of a MaxMind DB, walked as the reader in C walks it."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_network
from pathlib import Path
from random import Random

import maxminddb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routing.geo import GeoError, Places
from routing.geo_records import Record, flat_place, nested_place
from routing.geo_tree import SearchTree
from routing.place import Place
from tests.routing.mmdb import mmdb, mmdb_of

GEO = Path(__file__).parents[1] / "data" / "geo"
FILES = sorted(GEO.glob("*-Test.mmdb"))
RANDOM = Random(14)


def tree_of(content: bytes, reader: maxminddb.Reader) -> SearchTree:
    metadata = reader.metadata()
    return SearchTree(content, metadata.node_count, metadata.record_size, metadata.ip_version)


def agree(content: bytes, path: Path, addresses: list[str]) -> int:
    """Check that equal numbers are equal records, and that none is none; return how many records there are."""
    records: dict[int, object] = {}
    with maxminddb.open_database(path) as reader:
        tree = tree_of(content, reader)
        for address in addresses:
            number, record = tree.record_of(address), reader.get(address)
            assert (number is None) is (record is None), address
            if number is not None:
                assert records.setdefault(number, record) == record, address
    return len(records)


def some_of(network: IPv4Network) -> list[str]:
    first, last = int(network.network_address), int(network.broadcast_address)
    kind = IPv4Address if network.version == 4 else IPv6Address
    middle = RANDOM.randint(first, last)
    size = 1 << network.max_prefixlen
    return [str(kind(number % size)) for number in (first - 1, first, middle, last, last + 1)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_finds_the_records_that_the_reader_finds(path: Path) -> None:
    """At both ends of every network, within it and beside it; as IPv4, too, what stands behind 96 zeros."""
    addresses = [str(IPv4Address(RANDOM.getrandbits(32))) for _ in range(500)]
    for network, _ in maxminddb.open_database(path):
        addresses += some_of(network)
        if network.version == 6 and int(network.network_address) >> 32 == 0 and network.prefixlen >= 96:
            addresses.append(str(IPv4Address(int(network.network_address))))

    assert agree(path.read_bytes(), path, addresses) > 5


@pytest.mark.parametrize("record_size", [24, 28, 32])
@pytest.mark.parametrize("version", [4, 6])
def test_every_size_of_records_is_read(version: int, record_size: int, tmp_path: Path) -> None:
    """Networks of all lengths: some end within the part of the way that is remembered."""
    networks = [
        "1.0.0.0/8",
        "2.0.0.0/15",
        "2.2.0.0/16",
        "2.3.0.0/17",
        "2.3.128.0/24",
        "3.0.0.1/32",
        "128.0.0.0/1",
    ]
    if version == 6:
        networks += ["2000::/4", "3000::/32", "3000:1::/33", "3000:2::/48", "3000:3::1/128"]
    records = {network: {"asn": number + 1} for number, network in enumerate(networks)}
    content = mmdb_of(records, kind="asn", version=version, record_size=record_size)
    (tmp_path / "x.mmdb").write_bytes(content)
    addresses = [address for network in networks for address in some_of(ip_network(network))]
    if version == 4:
        addresses = [address for address in addresses if ":" not in address]

    assert agree(content, tmp_path / "x.mmdb", addresses * 2) == len(networks)


def test_halves_of_a_node_of_28_bits_keep_their_high_bits() -> None:
    """They share a byte, which is zero in small files."""
    node = bytes([0x11, 0x22, 0x33, 0xAB, 0x44, 0x55, 0x66])
    tree = SearchTree(node, 1, 28, 4)

    assert tree.record_of("0.0.0.0") == 0xA112233
    assert tree.record_of("255.0.0.0") == 0xB445566


def test_what_is_no_address_of_the_tree() -> None:
    """IPv6 has no record in a tree of IPv4; what is no address is an error, which means not known."""
    content = mmdb({"asn": 1}, {"asn": 2})
    tree = SearchTree(content, 1, 24, 4)

    assert tree.record_of("::1") is None
    assert tree.record_of("::ffff:1.2.3.4") is None
    for text in ("1.2.3", "proxy 1.2.3.4", "1.2.3.4%eth0", "not an address", "1.2.3.4\0"):
        with pytest.raises((OSError, ValueError)):
            tree.record_of(text)
    assert repr(tree) == "<SearchTree of 1 nodes, 0 starts remembered>"


def test_a_tree_that_has_no_end_is_walked_to_the_last_bit() -> None:
    """A node that is its own child; and one that leads out of the file."""
    with pytest.raises(ValueError, match="no end"):
        SearchTree(bytes(6), 1, 24, 4).record_of("1.2.3.4")
    with pytest.raises(IndexError):
        SearchTree(bytes([0, 0, 8] * 2), 9, 24, 4).record_of("1.2.3.4")
    with pytest.raises(ValueError, match="a record size of 20 bits"):
        SearchTree(bytes(6), 1, 20, 4)


def test_what_is_remembered_is_bounded() -> None:
    """A flood of addresses from everywhere."""
    tree = SearchTree(mmdb({"asn": 1}, {"asn": 2}), 1, 24, 4)

    for number in range(20_000):
        assert tree.record_of(str(IPv4Address(number << 16 | 1)))

    assert repr(tree) == f"<SearchTree of 1 nodes, {20_000 - 16_384} starts remembered>"


def test_a_record_is_read_once_for_all_its_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading takes longer than finding it."""
    read: list[object] = []

    def counted(record: Record) -> Place | None:
        read.append(record)
        return nested_place(record)

    monkeypatch.setattr("routing.geo_records.nested_place", counted)
    places = Places.open(GEO / "GeoIP2-City-Test.mmdb")

    found = [places.find(f"89.160.20.{number}") for number in range(112, 128)]

    assert found == [Place("SE", "EU", ("SE-E",))] * 16
    assert len(read) == 1


def test_records_that_are_remembered_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read last is not read again; what was read long ago is."""
    read: list[object] = []

    def counted(record: Record) -> Place | None:
        read.append(record)
        return flat_place(record)

    monkeypatch.setattr("routing.geo_records.flat_place", counted)
    records = {f"10.{number >> 8}.{number & 255}.0/24": {"asn": number + 1} for number in range(16_400)}
    (tmp_path / "x.mmdb").write_bytes(mmdb_of(records, kind="asn", version=4))
    places = Places.open(tmp_path / "x.mmdb")

    for network in records:
        places.find(network.replace("0/24", "7"))
    assert len(read) == 16_400
    assert places.find("10.64.15.1") == Place(asn=16_400)
    assert len(read) == 16_400
    assert places.find("10.0.0.1") == Place(asn=1)
    assert len(read) == 16_401


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_damaged_tree_never_says_what_the_reader_does_not(tmp_path: Path, data: st.DataObject) -> None:
    """Whatever bytes of it are hit: an error, nothing, or the record that is read at that address."""
    content = bytearray(FILES[0].read_bytes())
    with maxminddb.open_database(FILES[0]) as reader:
        end = reader.metadata().node_count * 7
    for offset in data.draw(st.lists(st.integers(0, end - 1), min_size=1, max_size=40)):
        content[offset] ^= data.draw(st.integers(1, 255))
    (tmp_path / "x.mmdb").write_bytes(content)

    try:
        places = Places.open(tmp_path / "x.mmdb")
        with maxminddb.open_database(tmp_path / "x.mmdb") as reader:
            tree = tree_of(bytes(content), reader)
            for number in data.draw(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=20)):
                address = str(IPv4Address(number))
                places.find(address)
                try:
                    record = reader.get(address)
                    found = tree.record_of(address)
                except (ValueError, IndexError, maxminddb.InvalidDatabaseError):
                    continue
                assert (found is None) is (record is None)
    except (GeoError, ValueError, maxminddb.InvalidDatabaseError):
        pass
