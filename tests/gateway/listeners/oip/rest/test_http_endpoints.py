"""What each path does, over a real socket."""

from __future__ import annotations

import asyncio
import json
import logging
import math

import pytest

from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Caller, Response
from gateway.core.telemetry import Refused
from gateway.listeners.data_plane import NAME, VERSION
from gateway.wire.faults import STATUSES
from gateway.wire.oip.json import encode_request
from gateway.wire.oip.metadata import EXTENSIONS
from gateway.wire.trust import Trust
from tests.fakes.data_plane import EchoService, FakeCatalog
from tests.fakes.http import INFER, SMALL, get, post, say, serving
from tests.fakes.service import ScriptedService, request
from tests.fakes.telemetry import RecordingTelemetry


async def exchange(*pieces, service=None, **changes):
    """Send one request to a fresh listener; return the answer and the service behind."""
    service = service or EchoService()
    async with serving(service, **changes) as listener:
        return await say(listener.port, *pieces), service


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v2", {"name": NAME, "version": VERSION, "extensions": list(EXTENSIONS)}),
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True, "live": True}),
        ("/v2/models/digits/ready", {"name": "digits", "ready": True}),
        ("/v2/models/digits/versions/1/ready?a=b", {"name": "digits", "ready": True}),
    ],
)
async def test_questions(path, body):
    """Every question of the protocol has its JSON answer."""
    answer, _ = await exchange(get(path))

    assert (answer.status, answer.json) == (200, body)
    assert answer.headers["content-type"] == "application/json"


async def test_a_version_is_a_text():
    """MLServer's are; the service gets it as it was sent, and a tier without it says so in Triton's words."""
    service = EchoService()
    answer, _ = await exchange(post("/v2/models/Digits.2%20b/versions/v1.2.0/infer", SMALL), service=service)

    assert (answer.status, answer.json["model_version"]) == (200, "v1.2.0")
    assert (service.last.model, service.last.version) == ("Digits.2 b", "v1.2.0")


async def test_model_metadata():
    """Names, versions and shapes come from the catalog, percent-encoded names too."""
    catalog = FakeCatalog()
    answer, _ = await exchange(get("/v2/models/d%69gits/versions/1"), catalog=catalog)

    assert answer.json["inputs"] == [{"name": "image", "datatype": "FP32", "shape": [-1, 4]}]
    assert answer.json["versions"] == ["1"]
    assert catalog.described == [("digits", "1")]


async def test_not_ready():
    """A gateway that does not serve lives on, and says 503 to whoever asks for readiness."""
    ready, _ = await exchange(get("/v2/health/ready"), ready=False)
    live, _ = await exchange(get("/v2/health/live"), ready=False)
    model, _ = await exchange(
        get("/v2/models/digits/ready"), catalog=FakeCatalog(unready=frozenset({"digits"}))
    )

    assert (ready.status, ready.json["ready"], ready.json["live"]) == (503, False, True)
    assert live.status == 200
    assert (model.status, model.json["ready"]) == (503, False)
    assert ready.json["error"]
    assert model.json["error"]


@pytest.mark.parametrize(
    "path", ["/v2/models/unknown", "/v2/models/unknown/ready", "/v2/models/digits/versions/9"]
)
async def test_unknown_models(path):
    """Nobody knows it: 404 with the catalog's words."""
    answer, _ = await exchange(get(path))

    assert answer.status == 404
    assert "is not known here" in answer.error


@pytest.mark.parametrize("path", ["/", "/v1", "/v2/models/digits/confi", "/v2/models/m" + "m" * 300])
async def test_other_paths(path):
    """What is no path of the protocol is not found, as JSON."""
    answer, _ = await exchange(get(path))

    assert (answer.status, answer.error) == (404, "Not Found")


@pytest.mark.parametrize(
    ("sent", "allow"),
    [
        (get(INFER), "POST"),
        (post("/v2"), "GET, HEAD"),
        (post("/v2/health/ready"), "GET, HEAD"),
        (get("/v2", verb="DELETE"), "GET, HEAD"),
        (get("/v2", verb="OPTIONS"), "GET, HEAD"),
    ],
)
async def test_wrong_verbs(sent, allow):
    """405 tells which verbs would do."""
    answer, _ = await exchange(sent)

    assert (answer.status, answer.error, answer.headers["allow"]) == (405, "Method Not Allowed", allow)


async def test_head_has_no_body():
    """A load balancer that probes with HEAD gets the headers of GET."""
    async with serving(EchoService()) as listener:
        answer = await say(listener.port, get("/v2/health/live", verb="HEAD"), has_body=False)

    assert (answer.status, answer.headers["content-length"]) == (200, "13")


async def test_inference_in_json():
    """A JSON request is answered in JSON, its id repeated."""
    body = b'{"id":"7",' + SMALL[1:]

    answer, service = await exchange(post("/v2/models/digits/versions/1/infer", body))

    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert "inference-header-content-length" not in answer.headers
    assert answer.json == {
        "model_name": "digits",
        "model_version": "1",
        "id": "7",
        "outputs": [{"name": "image", "datatype": "FP32", "shape": [2], "data": [1.0, 2.0]}],
    }
    assert (service.last.model, service.last.version, service.last.id) == ("digits", "1", "7")


async def test_inference_in_binary():
    """A binary request is answered in binary, and the header tells where the JSON ends."""
    sent = encode_request(request(2.0))

    answer, service = await exchange(
        post(INFER, sent.join(), Inference_Header_Content_Length=str(sent.header_length))
    )

    length = int(answer.headers["inference-header-content-length"])
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.body[length:] == bytes(request(2.0).inputs[0].data)
    assert service.last.inputs == request(2.0).inputs


async def test_nothing_said_about_the_caller():
    """Without a header the caller is the peer, anonymous, with no deadline."""
    _, service = await exchange(post(INFER, SMALL), trust=Trust())

    caller = service.last.caller
    assert (caller.address, caller.tenant, caller.credential, caller.vouched) == (
        "127.0.0.1",
        "anonymous",
        "",
        False,
    )
    assert (service.last.deadline, service.last.hops, service.last.trace) == (math.inf, 0, ())


CLAIMS = {
    "X_Forwarded_For": "203.0.113.9, 127.0.0.5",
    "X_Edgeway_Tenant": "clinic",
    "Authorization": "Bearer token",
    "Traceparent": "00-aa-bb-01",
}
FORWARDED = {"X_Edgeway_Hops": "2", "X_Edgeway_Regions": "eu-west,eu-north"}


async def test_claims_of_a_trusted_gateway():
    """A trusted gateway vouches for the client's address, its tenant, the hops so far and the regions left."""
    _, service = await exchange(post(INFER, SMALL, **CLAIMS, **FORWARDED))

    caller = service.last.caller
    assert (caller.address, caller.tenant, caller.vouched) == ("203.0.113.9", "clinic", True)
    assert caller.credential == "Bearer token"
    assert service.last.hops == 2
    assert service.last.regions == {"eu-west", "eu-north"}
    assert service.last.trace == (("traceparent", "00-aa-bb-01"),)


async def test_claims_of_a_stranger():
    """A stranger's word about itself is worth nothing; its credential is for Admission to judge."""
    _, service = await exchange(post(INFER, SMALL, **CLAIMS), trust=Trust(["10.0.0.0/8"]))

    caller = service.last.caller
    assert (caller.address, caller.tenant, caller.vouched) == ("127.0.0.1", "anonymous", False)
    assert (caller.credential, service.last.hops, service.last.regions) == ("Bearer token", 0, None)


async def test_forwarded_by_a_stranger():
    """A request that a gateway forwarded is refused where that gateway is not known: its tenant is not."""
    answer, service = await exchange(post(INFER, SMALL, **CLAIMS, **FORWARDED), trust=Trust(["127.0.0.0/8"]))

    assert answer.status == 403
    assert "trusted_gateways" in json.loads(answer.body)["error"]
    assert service.requests == []


async def test_all_lines_of_forwarded_for_count():
    """Two header lines are one list, in their order."""
    sent = post(INFER, SMALL).replace(
        b"Host: test", b"Host: test\r\nX-Forwarded-For: 203.0.113.9\r\nX-Forwarded-For: 198.51.100.7"
    )

    _, service = await exchange(sent)

    assert service.last.caller.address == "198.51.100.7"


@pytest.mark.parametrize("hops", ["x", "-1", "1e3", "100"])
async def test_hops_that_are_no_number(hops):
    """Hops that no gateway writes are refused: counted as none they could go round for ever."""
    answer, _ = await exchange(post(INFER, SMALL, X_Edgeway_Hops=hops))

    assert answer.status == 400
    assert "x-edgeway-hops" in json.loads(answer.body)["error"]


@pytest.mark.parametrize(
    ("parameter", "header", "seconds"), [(None, "500", 0.5), (200_000, "500", 0.2), (900_000, "500", 0.5)]
)
async def test_deadline(parameter, header, seconds):
    """The header and the parameter both set the deadline, and the earlier one holds."""
    parameters = b'{"parameters":{"timeout":%d},' % parameter if parameter else b"{"
    before = asyncio.get_running_loop().time()

    _, service = await exchange(post(INFER, parameters + SMALL[1:], X_Request_Timeout_Ms=header))

    assert before + seconds <= service.last.deadline <= asyncio.get_running_loop().time() + seconds


@pytest.mark.parametrize(
    ("sent", "fault"),
    [
        (post(INFER, b"{"), Fault.INVALID),
        (post(INFER), Fault.INVALID),
        (post(INFER, SMALL, Inference_Header_Content_Length="nan"), Fault.INVALID),
        (post(INFER, SMALL, Inference_Header_Content_Length="0"), Fault.INVALID),
        (post(INFER, SMALL, Inference_Header_Content_Length="99999"), Fault.INVALID),
        (post(INFER, SMALL, X_Request_Timeout_Ms="soon"), Fault.INVALID),
    ],
)
async def test_refusals_of_the_listener_are_counted(sent, fault):
    """What is refused before the stack reaches no service, and telemetry hears of it."""
    telemetry = RecordingTelemetry()

    answer, service = await exchange(sent, telemetry=telemetry)

    assert answer.status == STATUSES[fault].http
    assert answer.error
    assert service.requests == []
    assert telemetry.of(Refused) == [Refused("http", fault)]


async def test_bugs_are_logged_and_not_told(caplog):
    """An unexpected exception is 500 and two words for the client, a traceback for the log."""
    with caplog.at_level(logging.ERROR):
        answer, _ = await exchange(post(INFER, SMALL), service=ScriptedService(ZeroDivisionError("secret")))

    assert (answer.status, answer.error) == (500, "internal error")
    assert "secret" in caplog.text


async def test_one_request_keeps_one_generation():
    """A policy that comes into force meanwhile does not change who answers, nor the number told."""

    class Generation:
        def __init__(self, number: int) -> None:
            self.number = self.serial = number
            self.routed_headers: frozenset[str] = frozenset()

        def identify(self, caller: Caller) -> Caller:
            return caller

        async def __call__(self, _request: object) -> Response:
            now.append(Generation(8))
            return answer()

    now = [Generation(7)]
    answer, _ = await exchange(post(INFER, SMALL), generation=lambda: now[-1])

    assert answer.headers["x-edgeway-policy-generation"] == "7"
    assert now[-1].number == 8


@pytest.mark.parametrize(
    ("error", "status", "wait"),
    [
        (GatewayError(Fault.OVERLOADED, "full"), 503, "1"),
        (GatewayError(Fault.OVERLOADED, "full", retry_after_s=2.1), 503, "3"),
        (GatewayError(Fault.UNAVAILABLE, "down"), 503, None),
        (GatewayError(Fault.UNAVAILABLE, "down", retry_after_s=0.0), 503, "1"),
        (GatewayError(Fault.DEADLINE, "late"), 504, None),
        (GatewayError(Fault.CANCELLED, "gone"), 499, None),
    ],
)
async def test_faults_of_the_stack(error, status, wait):
    """Status, message and Retry-After come from the fault; region and generation are told as ever."""
    answer, _ = await exchange(post(INFER, SMALL), service=ScriptedService(error))

    assert (answer.status, answer.error, answer.headers.get("retry-after")) == (status, error.message, wait)
    assert answer.headers["x-edgeway-served-by"] == "eu-west"
    assert answer.headers["x-edgeway-policy-generation"] == "7"


async def test_a_full_gateway_reads_no_body():
    """Under overload the refusal comes before the body: what is refused must cost nothing."""
    head = post(INFER, SMALL).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"

    answer, service = await exchange(head, is_full=lambda: True)

    assert answer.status == 503
    assert answer.headers["retry-after"] == "1"
    assert service.requests == []
