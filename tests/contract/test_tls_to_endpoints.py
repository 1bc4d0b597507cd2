"""TLS to endpoints, over each wire: who is trusted, what is shown, what errors say, and files that change."""

from __future__ import annotations

import asyncio
import logging
import shutil
from pathlib import Path

import pytest

from gateway.app.connector import MemberPlace
from gateway.core.errors import Fault
from routing.endpoint import EndpointTls
from tests.fakes.certificates import Authority, Issued
from tests.fakes.data_plane import EchoService, fake_data_plane
from tests.fakes.listener import listener_of
from tests.fakes.service import request
from tests.fakes.tls import PROTOCOLS, tls_listener, upstream_of
from tests.fakes.upstreams import fails, flags

pytestmark = pytest.mark.parametrize("protocol", PROTOCOLS)
LOST = (Fault.UNAVAILABLE, True, True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the authorities of this module keep their files."""
    return tmp_path_factory.mktemp("ca")


@pytest.fixture(scope="module")
def ca(folder: Path) -> Authority:
    """Who signs the endpoints' certificates."""
    return Authority(folder)


@pytest.fixture(scope="module")
def stranger(folder: Path) -> Authority:
    """Whom nobody trusts."""
    return Authority(folder, "stranger")


@pytest.fixture(scope="module")
def server(ca: Authority) -> Issued:
    """The endpoint's certificate, for localhost."""
    return ca.issue("localhost")


@pytest.fixture(scope="module")
def ours(ca: Authority) -> Issued:
    """What this gateway shows."""
    return ca.issue("edge")


def trusting(ca: Authority, shows: Issued | None = None, **more: str) -> EndpointTls:
    shown = {} if shows is None else {"certificate": str(shows.certificate), "key": str(shows.key)}
    return EndpointTls(ca=str(ca.root), **shown, **more)


async def test_one_who_is_trusted_answers(protocol, ca, server):
    """Requests and health checks go through."""
    async with (
        tls_listener(server) as listener,
        upstream_of(protocol, listener.port, trusting(ca)) as upstream,
    ):
        assert (await upstream(request())).model == "digits"
        assert (await upstream.check()).why is None


@pytest.mark.parametrize(
    ("shown", "says", "todo"),
    [
        ("stranger", "of an authority that is not trusted here", "tls.ca"),
        ("expired", "has expired", "renew"),
        ("other", "is for another name", "tls.server_name"),
        ("client", "not one of a server", "serverAuth"),
    ],
)
async def test_one_who_is_not_trusted_gets_nothing(protocol, ca, stranger, shown, says, todo, caplog):
    """The error says what is wrong, the log what to do, once; and it is held against the endpoint."""
    issued = {
        "stranger": lambda: stranger.issue("localhost"),
        "expired": lambda: ca.issue("localhost", days=-1),
        "other": lambda: ca.issue("elsewhere"),
        "client": lambda: ca.issue("localhost", usage="clientAuth"),
    }[shown]()
    service = EchoService()
    async with (
        tls_listener(issued, service=service) as listener,
        upstream_of(protocol, listener.port, trusting(ca)) as upstream,
    ):
        error = await fails(upstream(request()))
        checked = await upstream.check()

    assert flags(error) == LOST
    assert error.why is not None
    assert error.why.reason == "tls"
    assert says in error.message
    assert "far" in error.message
    assert checked.why == error.why
    assert not service.requests
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len([each for each in told if says in each and todo in each and "far" in each]) == 1


async def test_a_server_name_is_asked_for_and_checked(protocol, ca):
    """Whatever the address is called."""
    async with tls_listener(ca.issue("central.example")) as listener:
        named = trusting(ca, server_name="central.example")
        async with upstream_of(protocol, listener.port, named) as upstream:
            assert (await upstream(request())).model == "digits"
        async with upstream_of(protocol, listener.port, trusting(ca)) as upstream:
            assert "another name" in (await fails(upstream(request()))).message


async def test_a_member_is_checked_by_its_name_and_reached_at_its_address(protocol, ca):
    """A name with several addresses: each member is one of them, and shows the name's certificate."""
    service = EchoService()
    async with tls_listener(ca.issue("central.example"), service=service) as listener:
        member = MemberPlace(f"central.example:{listener.port}", "127.0.0.1")
        async with upstream_of(protocol, listener.port, trusting(ca), member=member) as upstream:
            assert (await upstream(request())).model == "digits"
            assert (await upstream.check()).why is None


async def test_one_bundle_holds_several_authorities(protocol, ca, stranger, tmp_path):
    """Both are trusted, as while one replaces the other."""
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(b"# old, new\n" + stranger.root.read_bytes() + b"\n" + ca.root.read_bytes())
    for authority in (ca, stranger):
        async with (
            tls_listener(authority.issue("localhost")) as listener,
            upstream_of(protocol, listener.port, EndpointTls(ca=str(bundle))) as upstream,
        ):
            assert (await upstream(request())).model == "digits"


async def test_a_certificate_is_shown_where_one_is_wanted(protocol, ca, stranger, server, ours):
    """Without one, and with one that the server does not trust, it says so instead of answering."""
    async with tls_listener(server, ca.root) as listener:
        async with upstream_of(protocol, listener.port, trusting(ca, ours)) as upstream:
            assert (await upstream(request())).model == "digits"
        async with upstream_of(protocol, listener.port, trusting(ca)) as upstream:
            error = await fails(upstream(request()))
            assert flags(error) == LOST
            assert "wants a certificate of this gateway" in error.message
        async with upstream_of(protocol, listener.port, trusting(ca, stranger.issue("edge"))) as upstream:
            error = await fails(upstream(request()))
            assert flags(error) == LOST
            assert "does not accept the certificate of this gateway" in error.message


async def test_an_endpoint_that_does_not_speak_tls(protocol, ca):
    """The error says so, not that the name is unknown or the connection was reset."""
    listener = listener_of(fake_data_plane(EchoService()))
    await listener.start("127.0.0.1", 0)
    async with upstream_of(protocol, listener.port, trusting(ca)) as upstream:
        error = await fails(upstream(request()))
    await listener.aclose()

    assert flags(error) == LOST
    assert error.why is not None
    assert error.why.reason in {"tls", "reset"}


async def test_an_authority_that_replaces_another_is_trusted_without_restart(
    protocol, ca, stranger, tmp_path
):
    """The server's certificate and ``ca`` changed together: the handshake that fails reads the file again."""
    trusted = tmp_path / "ca.pem"
    shutil.copy(ca.root, trusted)
    async with upstream_of(protocol, 1, EndpointTls(ca=str(trusted))) as probe:
        assert not probe.problems
    async with tls_listener(ca.issue("localhost")) as first:
        port = first.port
        async with upstream_of(protocol, port, EndpointTls(ca=str(trusted))) as upstream:
            assert (await upstream(request())).model == "digits"
            await first.aclose()
            shutil.copy(stranger.root, trusted)
            async with tls_listener(stranger.issue("localhost"), port=port):
                assert (await upstream(request())).model == "digits"


async def test_who_is_not_trusted_any_more_gets_no_further_request(protocol, ca, stranger, server, tmp_path):
    """Connections that are open were vouched for by the authority that is gone: they are left."""
    trusted = tmp_path / "ca.pem"
    shutil.copy(ca.root, trusted)
    service = EchoService()
    async with (
        tls_listener(server, service=service) as listener,
        upstream_of(protocol, listener.port, EndpointTls(ca=str(trusted))) as upstream,
    ):
        await upstream(request())
        shutil.copy(stranger.root, trusted)
        await upstream.refresh()
        error = await fails(upstream(request()))

    assert "not trusted here" in error.message
    assert len(service.requests) == 1


async def test_files_that_cannot_be_used_leave_those_in_use(protocol, ca, server, ours, tmp_path, caplog):
    """Half written, gone, a key of another certificate: what is in use stays, told once; what is good is taken."""
    shown = Issued(tmp_path / "edge.pem", tmp_path / "edge.key")
    shutil.copy(ours.certificate, shown.certificate)
    shutil.copy(ours.key, shown.key)
    renewed = ca.issue("edge")
    async with (
        tls_listener(server, ca.root) as listener,
        upstream_of(protocol, listener.port, trusting(ca, shown)) as upstream,
    ):
        await upstream(request())
        whole = renewed.certificate.read_bytes()
        for content, says in (
            (whole[: len(whole) // 2], "half written"),
            (b"", "is empty"),
            (whole, "is not the key of the certificate"),
        ):
            shown.certificate.write_bytes(content)
            await refreshed(upstream)
            assert [says in problem for problem in upstream.problems] == [True]
            assert (await upstream(request())).model == "digits"
            upstream.renew()
            assert (await upstream(request())).model == "digits"
        shown.key.write_bytes(renewed.key.read_bytes())
        await refreshed(upstream)
        assert not upstream.problems
        assert (await upstream(request())).model == "digits"

    told = [record.getMessage() for record in caplog.records if "not taken" in record.getMessage()]
    assert len(told) == 3
    assert "BEGIN" not in caplog.text


async def refreshed(upstream) -> None:
    """Files are read again once a second at most."""
    await asyncio.sleep(1.05)
    await upstream.refresh()
