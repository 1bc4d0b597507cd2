"""Settings of the admin port."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from gateway.admin.settings import AdminAccessSettings, is_loopback, read_tokens
from gateway.http.server.tls import TlsSettings

HASH = sha256(b"a-token-of-the-operator").hexdigest()
ONE_WAY = TlsSettings(certificate="a", key="b")
MUTUAL = TlsSettings(certificate="a", key="b", client_ca="c")


@pytest.mark.parametrize(
    ("settings", "is_restricted"),
    [
        (AdminAccessSettings(), False),
        (AdminAccessSettings(hosts=("x",), open_metrics=True), False),
        (AdminAccessSettings(tls=ONE_WAY), False),
        (AdminAccessSettings(tls=MUTUAL), True),
        (AdminAccessSettings(tokens_sha256=(HASH,)), True),
        (AdminAccessSettings(token_file="t"), True),
    ],
)
def test_what_restricts(settings: AdminAccessSettings, is_restricted: bool) -> None:
    """A token or a client's certificate; encryption alone asks nobody who they are."""
    assert settings.is_restricted is is_restricted


def test_tokens_of_settings_and_of_a_file(tmp_path: Path) -> None:
    """Either is taken."""
    file = tmp_path / "tokens"
    file.write_text("the-token-of-yesterday\nthe-token-of-today\n")

    tokens = read_tokens(AdminAccessSettings(tokens_sha256=(HASH,), token_file=str(file)))

    names = ("a-token-of-the-operator", "the-token-of-yesterday", "the-token-of-today")
    assert all(tokens.accepts(f"Bearer {token}") for token in names)
    assert not tokens.accepts("Bearer the-token-of-yesterday\nthe-token-of-today")


@pytest.mark.parametrize("content", ["", "\n\n", "short\n", "a-token-of-the-operator\nshort"])
def test_file_without_a_good_token(tmp_path: Path, content: str) -> None:
    """An empty file would be a port without a lock, a short token one that can be guessed."""
    file = tmp_path / "tokens"
    file.write_text(content)

    with pytest.raises(ValueError, match="16 or more characters"):
        read_tokens(AdminAccessSettings(token_file=str(file)))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost", "LOCALHOST"])
def test_only_this_machine(host: str) -> None:
    """These can be reached from this machine alone."""
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "10.0.0.1", "127.1", "gateway.example", "localhost.example", ""]
)
def test_others_too(host: str) -> None:
    """Every other one may be reached by others; a name may be anybody's."""
    assert not is_loopback(host)
