"""The operator's port of a process."""

from __future__ import annotations

import socket
import ssl
from contextlib import AsyncExitStack
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.admin.listener import AdminListener
from gateway.admin.settings import AdminAccessSettings
from gateway.app.admin_port import open_admin_port, operator_tokens
from gateway.app.errors import StartError
from gateway.config.settings import ListenSettings
from gateway.http.server.tls import TlsSettings
from tests.fakes.certificates import Authority

TOKEN = "the-token-of-the-operator"
HASH = sha256(TOKEN.encode()).hexdigest()


async def report() -> dict[str, Any]:
    return {"ready": True}


async def opened(
    lifetimes: AsyncExitStack, admin: str | tuple[str, ...] | None = "127.0.0.1:0", **access: Any
) -> int:
    """Open the port, and return its number; 0: there is none."""

    async def metrics() -> bytes:
        return b""

    listener = AdminListener(health=report, metrics=metrics, policy=report)
    settings = ListenSettings(admin=admin, admin_access=AdminAccessSettings(**access))
    found = await open_admin_port(listener, settings, lifetimes)
    return found.port if found else 0


async def status(
    port: int, path: str, tls: ssl.SSLContext | None = None, at: str = "127.0.0.1", **headers: str
) -> int:
    scheme = "http" if tls is None else "https"
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{scheme}://{at}:{port}{path}", ssl=tls or True, headers=headers) as answer,
    ):
        return answer.status


async def test_open_port_says_so(caplog) -> None:
    """What nobody has set is in the log, with what to set."""
    async with AsyncExitStack() as lifetimes:
        port = await opened(lifetimes)

        assert await status(port, "/policy") == 200
    assert "set listen.admin_access.tokens_sha256" in caplog.text


async def test_port_with_a_token(caplog) -> None:
    """It is asked for, and nothing needs to be said."""
    async with AsyncExitStack() as lifetimes:
        port = await opened(lifetimes, tokens_sha256=(HASH,))

        assert await status(port, "/policy") == 401
        assert await status(port, "/policy", Authorization=f"Bearer {TOKEN}") == 200
    assert caplog.text == ""


async def test_names_of_the_settings() -> None:
    """The port is called by them, too."""
    async with AsyncExitStack() as lifetimes:
        port = await opened(lifetimes, hosts=("admin.example",))

        assert await status(port, "/policy", Host="admin.example") == 200
        assert await status(port, "/policy", Host="other.example") == 421


async def test_several_addresses(caplog) -> None:
    """Each is called by its own name, and by those of the others."""
    with socket.create_server(("127.0.0.2", 0)) as taken:
        second = taken.getsockname()[1]
    async with AsyncExitStack() as lifetimes:
        port = await opened(lifetimes, ("127.0.0.1:0", f"127.0.0.2:{second}"))

        assert await status(port, "/policy") == 200
        assert await status(second, "/policy", at="127.0.0.2") == 200
        assert await status(second, "/policy", at="127.0.0.2", Host="other.example") == 421
    assert caplog.text.count("set listen.admin_access.tokens_sha256") == 1


async def test_one_address_for_others_locks_all(caplog) -> None:
    """Whoever comes over the loopback address is no operator either."""
    async with AsyncExitStack() as lifetimes:
        port = await opened(lifetimes, ("127.0.0.1:0", "0.0.0.0:0"))

        assert await status(port, "/readyz") == 200
        assert await status(port, "/policy") == 403
    assert "answers probes and nothing else" in caplog.text


async def test_second_address_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        async with AsyncExitStack() as lifetimes:
            with pytest.raises(StartError, match=f"cannot listen on {address}"):
                await opened(lifetimes, ("127.0.0.1:0", address))


async def test_no_port() -> None:
    """Settings may name none."""
    async with AsyncExitStack() as lifetimes:
        assert await opened(lifetimes, admin=None) == 0


async def test_certificates_of_clients(tmp_path: Path) -> None:
    """One that the CA has signed does as well as a token; probes show none; another CA's ends the handshake."""
    ca, stranger = Authority(tmp_path), Authority(tmp_path, "stranger")
    server, client, forged = ca.issue("localhost"), ca.issue("operator"), stranger.issue("operator")
    tls = TlsSettings(certificate=str(server.certificate), key=str(server.key), client_ca=str(ca.root))

    def trusting(shown: Any = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(ca.root))
        if shown is not None:
            context.load_cert_chain(shown.certificate, shown.key)
        return context

    async with AsyncExitStack() as lifetimes:
        port = await opened(lifetimes, tls=tls, tokens_sha256=(HASH,))

        assert await status(port, "/policy", trusting(client)) == 200
        assert await status(port, "/policy", trusting(), Authorization=f"Bearer {TOKEN}") == 200
        assert await status(port, "/policy", trusting()) == 401
        assert await status(port, "/healthz", trusting()) == 200
        with pytest.raises(aiohttp.ClientError):
            await status(port, "/policy", trusting(forged))


async def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    """The start ends and names them: a port without its lock is not opened."""
    missing = str(tmp_path / "missing")
    async with AsyncExitStack() as lifetimes:
        with pytest.raises(StartError, match=r"token_file: .*missing: No such file"):
            await opened(lifetimes, token_file=missing)
        with pytest.raises(StartError, match=r"admin_access\.tls: .*missing"):
            await opened(lifetimes, tls=TlsSettings(certificate=missing, key=missing))


def test_token_that_could_be_guessed(tmp_path: Path) -> None:
    """So is a file whose token is no token."""
    (tmp_path / "token").write_text("secret\n")

    with pytest.raises(StartError, match="16 or more characters"):
        operator_tokens(AdminAccessSettings(token_file=str(tmp_path / "token")))


@pytest.mark.parametrize(
    ("admin", "access"), [("0.0.0.0:0", {}), ("[::]:0", {}), ("0.0.0.0:0", {"open_metrics": True})]
)
async def test_port_that_others_reach_has_no_operator_without_a_lock(
    caplog, admin: str, access: dict[str, Any]
) -> None:
    """Probes are answered, and what is refused says what to set; so does the log."""
    async with AsyncExitStack() as lifetimes:
        port = await opened(lifetimes, admin, **access)

        assert await status(port, "/healthz") == 200
        assert await status(port, "/readyz") == 200
        assert await status(port, "/policy") == 403
        assert await status(port, "/metrics") == (200 if access else 403)
        assert await status(port, "/policy", Authorization=f"Bearer {TOKEN}") == 403
    assert "set listen.admin_access.tokens_sha256" in caplog.text
