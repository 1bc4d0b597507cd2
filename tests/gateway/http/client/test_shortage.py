"""What this process may lack for a connection."""

from __future__ import annotations

import errno
import os
import socket

import pytest

from gateway.http.client.shortage import lack


@pytest.mark.parametrize(
    ("number", "what"),
    [
        (errno.EMFILE, "file descriptors"),
        (errno.EADDRNOTAVAIL, "local ports"),
        (errno.ENOBUFS, "memory for sockets"),
        (errno.ECONNREFUSED, None),
    ],
)
def test_what_a_failure_to_connect_says_of_us(number, what):
    """A peer that refuses is not our shortage."""
    assert lack(OSError(number, "no")) == what


def test_a_resolver_without_descriptors_is_ours(monkeypatch):
    """Its own error does not say so: whether there are any is tried."""
    assert lack(socket.gaierror(socket.EAI_AGAIN, "no")) is None

    def fail(*_):
        raise OSError(errno.EMFILE, "no")

    monkeypatch.setattr(os, "open", fail)

    assert lack(socket.gaierror(socket.EAI_AGAIN, "no")) == "file descriptors"
