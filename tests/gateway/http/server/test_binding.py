"""Sockets to listen on."""

from __future__ import annotations

import socket

import pytest

from gateway.http.server.binding import bind


def reaches(family: int, host: str, port: int) -> bool:
    with socket.socket(family) as client:
        client.settimeout(2)
        return client.connect_ex((host, port)) == 0


@pytest.mark.parametrize(
    ("host", "ipv4", "ipv6"), [("::", True, True), ("::1", False, True), ("127.0.0.1", True, False)]
)
def test_all_addresses_are_those_of_both_families(host: str, ipv4: bool, ipv6: bool) -> None:
    """`[::]` takes IPv4 as well, as Go's and gRPC's servers do; any other address is what it says."""
    with bind(host, 0) as listening:
        port = listening.getsockname()[1]

        assert reaches(socket.AF_INET, "127.0.0.1", port) is ipv4
        assert reaches(socket.AF_INET6, "::1", port) is ipv6
