"""What browsers are told, and that everybody else is answered as before."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.core.errors import Fault, GatewayError
from gateway.http.exchange import Answer, BodyPolicy, Head
from gateway.listeners.cors import Cors, CorsSettings
from gateway.listeners.oip.rest.application import RestApplication
from gateway.wire.oip.paths import methods_of
from tests.fakes.data_plane import EchoService, fake_data_plane
from tests.fakes.exchange import Wire
from tests.fakes.service import ScriptedService

PAGE, STRANGER = "https://app.example", "https://evil.example"
INFER = "/v2/models/m/infer"
BODY = b'{"inputs":[{"name":"x","datatype":"INT8","shape":[1],"data":[1]}]}'
ORIGIN, HEADERS = "access-control-allow-origin", "access-control-allow-headers"


def wire(service: Any = None, **settings: Any) -> Wire:
    settings.setdefault("allow_origins", (PAGE, "https://other.example"))
    rest = RestApplication(fake_data_plane(service or EchoService()))
    return Wire(Cors(CorsSettings(**settings), rest, methods_of))


def preflight(origin: str = PAGE, method: str = "POST") -> dict[str, str]:
    return {
        "origin": origin,
        "access-control-request-method": method,
        "access-control-request-headers": "x-a",
    }


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        (INFER, "POST"),
        ("/v2", "GET, HEAD"),
        ("/v2/models/m/versions/1/ready", "GET, HEAD"),
        ("/v2/logging", None),
    ],
)
async def test_preflights(path: str, methods: str | None):
    reply = await wire().ask("OPTIONS", path, b"", preflight())

    assert (reply.status, reply.headers[ORIGIN], reply.headers["vary"]) == (200, PAGE, "origin")
    assert methods is None or reply.headers["access-control-allow-methods"] == methods
    assert "authorization" in reply.headers[HEADERS] and reply.headers["access-control-max-age"] == "600"
    assert "access-control-allow-credentials" not in reply.headers


@pytest.mark.parametrize(
    ("path", "origin", "status"), [(INFER, STRANGER, 403), ("/healthz", PAGE, 404), ("/metrics", PAGE, 404)]
)
async def test_preflights_that_are_refused(path: str, origin: str, status: int):
    reply = await wire().ask("OPTIONS", path, b"", preflight(origin))

    assert reply.status == status
    assert ORIGIN not in reply.headers and HEADERS not in reply.headers


@pytest.mark.parametrize("headers", [{}, {"origin": PAGE}, {"access-control-request-method": "POST"}])
async def test_other_options_are_no_preflights(headers: dict[str, str]):
    assert (await wire().ask("OPTIONS", INFER, b"", headers)).status == 405


@pytest.mark.parametrize("origin", [PAGE, "https://other.example"])
async def test_answers_name_an_origin_that_is_allowed(origin: str):
    reply = await wire(allow_credentials=True).ask("POST", INFER, BODY, {"origin": origin})

    assert (reply.status, reply.headers[ORIGIN], reply.headers["vary"]) == (200, origin, "origin")
    assert reply.headers["access-control-allow-credentials"] == "true"
    assert "x-edgeway-provenance" in reply.headers["access-control-expose-headers"]


@pytest.mark.parametrize(
    "headers", [{}, {"origin": STRANGER}, {"origin": "null"}, {"origin": PAGE + ".evil"}]
)
async def test_others_are_served_without(headers: dict[str, str]):
    reply = await wire().ask("POST", INFER, BODY, headers)

    assert (reply.status, reply.headers["vary"]) == (200, "origin")
    assert ORIGIN not in reply.headers


async def test_refusals_are_for_the_page_to_read():
    failing = wire(ScriptedService(GatewayError(Fault.UNAVAILABLE, "nobody is there")))
    unknown = await failing.ask("GET", "/v3", b"", {"origin": PAGE})
    failed = await failing.ask("POST", INFER, BODY, {"origin": PAGE})
    cors = Cors(
        CorsSettings(allow_origins=(PAGE,)), RestApplication(fake_data_plane(EchoService())), methods_of
    )
    large = cors.refuse(Head("POST", INFER, (("origin", PAGE),)), 413, "too large")

    assert [(reply.status, reply.headers[ORIGIN]) for reply in (unknown, failed)] == [
        (404, PAGE),
        (503, PAGE),
    ]
    assert (ORIGIN.encode(), PAGE.encode()) in large.extra
    assert cors.refuse(None, 400, "bad").extra == ()
    assert isinstance(cors.open(Head("GET", "/v2", ())), BodyPolicy)
    assert isinstance(cors.open(Head("GET", "/v3", ())), Answer)


async def test_all_origins():
    reply = await wire(allow_origins=("*",)).ask("POST", INFER, BODY, {"origin": STRANGER})
    without = await wire(allow_origins=("*",)).ask("POST", INFER, BODY)

    assert (reply.headers[ORIGIN], "vary" in reply.headers) == ("*", False)
    assert ORIGIN not in without.headers


@pytest.mark.parametrize(
    ("written", "why"),
    [
        (b'{"allow_origins":["*"],"allow_credentials":true}', "list of origins"),
        (b'{"allow_origins":["*","https://a"]}', "write no others"),
        (b'{"allow_origins":[]}', "is empty"),
        (b'{"allow_origins":["https://a/path"]}', "matching regex"),
        (b'{"allow_origins":["https://a\\r\\nx: y"]}', "matching regex"),
        (b'{"allow_origins":["app.example"]}', "matching regex"),
        (b'{"allow_origins":["*"],"allow_headers":["a b"]}', "matching regex"),
        (b'{"allow_origins":["*"],"allow_methods":["GET"]}', "unknown field"),
    ],
)
def test_settings_that_are_refused(written: bytes, why: str):
    with pytest.raises(msgspec.ValidationError, match=why):
        msgspec.json.decode(written, type=CorsSettings)
