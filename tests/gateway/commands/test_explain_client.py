"""Whose request `edgeway policy explain` is about."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.__main__ import main
from tests.gateway.policies import GOOD, write_policy
from tests.routing.mmdb import mmdb_of

TABLE = GOOD.replace(
    "routes:\n",
    "networks:\n"
    "  192.0.2.0/24: US-CA\n"
    "  192.0.2.128/25: {asn: 64501}\n"
    "routes:\n"
    "- {name: partner, match: {model: digits, asns: [64500, 64501]}, endpoints: [central]}\n"
    "- {name: california, match: {model: digits, places: [US-CA]}, endpoints: [central]}\n",
)


def lines(folder: Path, capsys, *arguments: str, status: int = 0) -> dict[str, str]:
    """Return what is said of a request from region `here`, by its name; of routes passed over the last."""
    file = write_policy(folder, TABLE)
    arguments = ("--model", "digits", "--region", "here", *arguments)
    assert main(["policy", "explain", str(file), *arguments]) == status
    out = capsys.readouterr().out.splitlines()
    return {name.strip(): text.strip() for name, _, text in (line.partition("  ") for line in out)}


@pytest.mark.parametrize(
    ("arguments", "client", "route"),
    [
        ((), "place not known: every rule applies", "digits"),
        (("--client-country", "us-ca"), "US-CA, continent NA", "california"),
        (("--client-country", "NA"), "NA, continent AF", "digits"),
        (("--client-country", "US", "--client-asn", "64500"), "US, continent NA, AS64500", "partner"),
        (("--client-asn", "AS64500"), "place not known: every rule applies, AS64500", "partner"),
        (("--client-address", "192.0.2.7"), "US-CA, continent NA, by networks", "california"),
        (("--client-address", "::ffff:192.0.2.7"), "US-CA, continent NA, by networks", "california"),
        (("--client-address", "192.0.2.200"), "place not known: every rule applies, AS64501", "partner"),
        (("--client-address", "192.0.2.7", "--client-country", "FR"), "FR, continent EU", "digits"),
        (
            ("--client-address", "192.0.2.200", "--client-country", "FR"),
            "FR, continent EU, AS64501",
            "partner",
        ),
        (("--client-address", "8.8.8.8"), "place not known: every rule applies", "digits"),
    ],
)
def test_where_the_client_is_and_by_what(
    tmp_path: Path, capsys, arguments: tuple[str, ...], client: str, route: str
) -> None:
    """As it is named, else by the policy's table; and the route goes by it."""
    found = lines(tmp_path, capsys, *arguments)

    assert found["client"] == client
    assert found["route"].startswith(f"{route} (")


def test_an_address_is_looked_up_in_geo_databases(tmp_path: Path, capsys) -> None:
    """In those that are given, as a gateway has them; the policy's table goes before."""
    networks = ("192.0.2.0/24", "198.51.100.0/24")
    country = {"country": {"iso_code": "FR"}, "continent": {"code": "EU"}}
    numbers = {"asn": 64500}
    files = [tmp_path / "c.mmdb", tmp_path / "a.mmdb"]
    files[0].write_bytes(mmdb_of(dict.fromkeys(networks, country), kind="GeoLite2-Country"))
    files[1].write_bytes(mmdb_of(dict.fromkeys(networks, numbers), kind="asn"))
    geo = [part for file in files for part in ("--geo", str(file))]

    outside = lines(tmp_path, capsys, "--client-address", "198.51.100.7", *geo)
    inside = lines(tmp_path, capsys, "--client-address", "192.0.2.7", *geo)

    assert outside["client"] == "FR, continent EU, AS64500, by the geo database"
    assert outside["home"] == "here"
    assert inside["client"] == "US-CA, continent NA, AS64500, by networks"


def test_a_geo_database_that_cannot_be_used_is_named(tmp_path: Path, capsys) -> None:
    """With what is wrong with it."""
    (tmp_path / "x.mmdb").write_bytes(b"nothing")

    lines(tmp_path, capsys, "--geo", str(tmp_path / "x.mmdb"), status=2)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--client-country", "XX", "unknown ISO 3166 country"),
        ("--client-country", "EU", "unknown ISO 3166 country"),
        ("--client-country", "XX-CA", "unknown ISO 3166 country"),
        ("--client-asn", "0", "is not within 1 and 4294967295"),
        ("--client-asn", "4294967296", "is not within 1 and 4294967295"),
        ("--client-asn", "Google", "no number of an autonomous system"),
        ("--client-asn", "9" * 5000, "no number of an autonomous system"),
        ("--client-address", "10.1.2", "is no IP address"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, capsys, option: str, value: str, message: str) -> None:
    """With what would be right."""
    with pytest.raises(SystemExit) as caught:
        lines(tmp_path, capsys, option, value)

    assert caught.value.code == 2
    assert message in capsys.readouterr().err
