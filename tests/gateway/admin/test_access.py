"""Who may use the admin port."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any

import pytest

from gateway.admin.access import AdminAccess
from gateway.admin.listener import AdminListener
from gateway.admin.management_routes import management_routes
from gateway.core.operator import OperatorTokens
from gateway.telemetry.log_settings import LogSettings
from gateway.telemetry.trace_settings import TraceSettings
from tests.fakes.application import connection
from tests.fakes.operator import Loads

TOKEN = "the-token-of-the-operator"
TOKENS = OperatorTokens([sha256(TOKEN.encode()).hexdigest()])
BEARER = f"Authorization: Bearer {TOKEN}"
UNLOAD = "/v2/repository/models/m/unload"
PAGES = [
    "Origin: http://evil.example",
    "Origin: null",
    "Origin:",
    "Origin: http://127.0.0.1:8002",
    "Referer: http://evil.example/",
    "Sec-Fetch-Site: cross-site",
    "Sec-Fetch-Site: same-site",
    "Sec-Fetch-Site: none\r\nSec-Fetch-Site: cross-site",
]


async def health() -> dict[str, Any]:
    return {"ready": True, "region": "eu-west"}


async def metrics() -> bytes:
    return b"edgeway_up 1\n"


@contextlib.asynccontextmanager
async def opened(access: AdminAccess | None = None) -> AsyncIterator[tuple[AdminListener, Loads]]:
    loads = Loads()
    routes = management_routes(loads, LogSettings(["nobody"]), TraceSettings(), index=loads.listed)
    listener = AdminListener(health=health, metrics=metrics, policy=health, more=routes)
    await listener.start("127.0.0.1", 0, access)
    try:
        yield listener, loads
    finally:
        await listener.aclose()


async def ask(
    listener: AdminListener, target: str, *headers: str, method: str = "GET", host: str | None = "127.0.0.1",
    version: str = "1.1",
) -> tuple[int, bytes]:  # fmt: skip
    """Status and body of a request that is sent as it is written here."""
    lines = [f"{method} {target} HTTP/{version}", *headers, "Connection: close"]
    if host is not None:
        lines.insert(1, f"Host: {host}")
    if method == "POST":
        lines.append("Content-Length: 0")
    async with connection(listener.port) as (reader, writer):
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head[9:12]), body


async def test_without_a_token_this_machine_may_do_all() -> None:
    """That is how a loopback port is by default."""
    async with opened() as (listener, loads):
        assert (await ask(listener, "/metrics"))[0] == 200
        assert json.loads((await ask(listener, "/readyz"))[1])["region"] == "eu-west"
        assert (await ask(listener, UNLOAD, method="POST"))[0] == 200
        assert loads.done == [("unload", "m", False)]


@pytest.mark.parametrize(
    "sent", [[], ["Authorization: Bearer wrong"], ["Authorization: " + TOKEN], [BEARER, BEARER]]
)
async def test_with_a_token_nothing_is_shown_or_done_without_it(sent: list[str]) -> None:
    """Reads as well as changes, and paths that there are not."""
    async with opened(AdminAccess(TOKENS)) as (listener, loads):
        for method, path in (("GET", "/metrics"), ("GET", "/policy"), ("POST", UNLOAD), ("GET", "/nothing")):
            status, body = await ask(listener, path, *sent, method=method)
            assert status == 401
            assert json.loads(body)["error"] == (
                "the operator's token, as 'Authorization: Bearer TOKEN' is needed here"
            )
        assert loads.done == []


async def test_token_opens_everything() -> None:
    """With it the port is as without any."""
    async with opened(AdminAccess(TOKENS)) as (listener, loads):
        assert (await ask(listener, "/metrics", BEARER))[0] == 200
        assert (await ask(listener, UNLOAD, BEARER, method="POST"))[0] == 200
        assert (await ask(listener, "/nothing", BEARER))[0] == 404
        assert loads.done == [("unload", "m", False)]


async def test_probes_need_no_token_and_say_no_more_than_they_must() -> None:
    """An orchestrator has none; why the gateway is not ready is the operator's to know."""
    async with opened(AdminAccess(TOKENS)) as (listener, _):
        assert (await ask(listener, "/healthz"))[0] == 200
        assert await ask(listener, "/readyz") == (200, b'{"ready":true}\n')
        assert b"eu-west" in (await ask(listener, "/readyz", BEARER))[1]


@pytest.mark.parametrize(
    "path",
    ["//readyz", "/readyz/", "/x/../readyz", "/readyz/../policy", "/readyz%2f..%2fpolicy", "/policy;/readyz"],
)
async def test_only_the_probes_themselves_are_open(path: str) -> None:
    """A path that merely looks like one is no probe."""
    async with opened(AdminAccess(TOKENS)) as (listener, _):
        assert (await ask(listener, path))[0] == 401


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("http://127.0.0.1/policy", 200),
        ("http://evil.example/policy", 421),
        ("http://127.0.0.1@evil.example/policy", 421),
        ("http://127.0.0.1.evil.example/policy", 421),
        ("https://evil.example/policy", 421),
    ],
)
async def test_target_in_absolute_form_is_called_by_the_name_in_it(target: str, status: int) -> None:
    """HTTP has it that the Host does not count then; here neither may be another."""
    async with opened() as (listener, _):
        assert (await ask(listener, target))[0] == status


async def test_metrics_may_be_open() -> None:
    """For a Prometheus that has no token; nothing else is."""
    async with opened(AdminAccess(TOKENS, open_metrics=True)) as (listener, _):
        assert (await ask(listener, "/metrics"))[0] == 200
        assert (await ask(listener, "/policy"))[0] == 401


@pytest.mark.parametrize(
    "host",
    ["evil.example:8002", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.1@evil.example",
     "[::1]evil.example", "[::1].evil.example:80", "10.1.2.3", "0.0.0.0:8002", "127.0.0.1:8002:80", "", "127.0.0.1, evil",
     "evil.example\r\nHost: 127.0.0.1", "2130706433.evil.example", "127.0.0.1:http"],
)  # fmt: skip
async def test_rebound_name_is_refused(host: str) -> None:
    """A page whose name leads to this address reads nothing and changes nothing, probes included."""
    async with opened() as (listener, loads):
        for method, path in (("GET", "/policy"), ("GET", "/readyz"), ("POST", UNLOAD)):
            assert (await ask(listener, path, method=method, host=host))[0] in {400, 421}
        assert loads.done == []


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:8002", "localhost:80", "LOCALHOST", "localhost.", "[::1]:8002", "127.8.8.8",
     "admin.example", "Admin.Example:99", "10.1.2.3", "[::ffff:10.1.2.3]", "[2001:DB8::0:1]"],
)  # fmt: skip
async def test_own_names_are_taken(host: str) -> None:
    """Those of this machine, and those of the settings, with whatever port stands before this one."""
    async with opened(AdminAccess(hosts=["ADMIN.example", "10.1.2.3", "2001:db8::1"])) as (listener, _):
        assert (await ask(listener, "/policy", host=host))[0] == 200


async def test_no_host_at_all() -> None:
    """A probe of HTTP/1.0 names none; a browser always does."""
    async with opened() as (listener, _):
        assert (await ask(listener, "/healthz", host=None, version="1.0"))[0] == 200
        assert (await ask(listener, "/healthz", host=None))[0] in {400, 421}


async def test_host_that_is_not_known_says_what_to_set() -> None:
    """The operator may have forgotten it."""
    async with opened() as (listener, _):
        error = json.loads((await ask(listener, "/policy", host="gw.example"))[1])["error"]

    assert error == (
        "this port is not called 'gw.example'; if it is, add the name to listen.admin_access.hosts"
    )


@pytest.mark.parametrize("header", PAGES)
@pytest.mark.parametrize("access", [None, AdminAccess(TOKENS)])
async def test_web_page_changes_nothing(header: str, access: AdminAccess | None) -> None:
    """Not even with the token, which a browser may have kept."""
    async with opened(access) as (listener, loads):
        for path in (UNLOAD, "/v2/repository/models/m/load", "/v2/logging", "/v2/trace/setting"):
            assert (await ask(listener, path, header, BEARER, method="POST"))[0] == 403
        assert loads.done == []


@pytest.mark.parametrize("header", ["Sec-Fetch-Site: none", "Sec-Fetch-Site: same-origin"])
async def test_request_of_no_foreign_page_passes(header: str) -> None:
    """Such as one that a person types."""
    async with opened() as (listener, loads):
        assert (await ask(listener, UNLOAD, header, method="POST"))[0] == 200
        assert loads.done


async def test_what_it_shows_of_itself() -> None:
    """What is needed, and the names."""
    access = AdminAccess(TOKENS, takes_certificates=True, hosts=["b", "a"])

    assert repr(access) == "<AdminAccess <OperatorTokens 1>, certificates, hosts a b>"
    assert repr(AdminAccess()) == "<AdminAccess <OperatorTokens 0>, hosts own>"
