"""Every upstream keeps one contract, whatever wire it speaks: Service and Catalog, errors with flags.

Each test runs once per wire, against a real gateway listener of that wire in the same loop.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import pytest

from gateway.app.workers.step_listener import lost
from gateway.core.catalog import AllModels, IndexEntry
from gateway.core.errors import Fault, GatewayError, Why
from gateway.core.request import Caller, Provenance
from gateway.core.tensor import Tensor
from tests.fakes.data_plane import DIGITS, EchoService, FakeCatalog
from tests.fakes.redis_server import free_port
from tests.fakes.service import HANG, ScriptedService, answer, request
from tests.fakes.upstreams import before, fails, flags, grpc_upstream_to, http_upstream_to, until

WIRES = {"http": http_upstream_to, "grpc": grpc_upstream_to}


@pytest.fixture(params=WIRES.values(), ids=WIRES)
def wire(request: pytest.FixtureRequest) -> Callable[[int], Any]:
    """How to build an upstream to a port; the gateway there speaks the same wire."""
    chosen: Callable[[int], Any] = request.param
    return chosen


async def test_request_and_answer_pass_through(wire):
    """The other side sees the request as it was sent; the answer comes back whole, with its provenance."""
    inputs = tuple(
        Tensor.from_numpy(name, array)
        for name, array in {
            "image": np.arange(6, dtype=np.float16).reshape(2, 3),
            "words": np.array([b"a", b"", b"\xff"], object),
            "none": np.zeros((0, 4), np.int64),
        }.items()
    )
    inputs = (*inputs, Tensor("brain", "BF16", (1, 2), b"\x80\x3f\x00\xc0"))
    service = EchoService(Provenance("edge", certified=False, level="l2", stale=True, digest="sha256:00ff"))
    sent = request(
        id="r-1", version="1", inputs=inputs, outputs=("words", "image", "brain"), parameters={"priority": 1}
    )

    async with before(wire, service) as upstream:
        response = await upstream(sent)

    seen = service.last
    assert (seen.model, seen.version, seen.id, seen.outputs) == ("digits", "1", "r-1", sent.outputs)
    assert dict(seen.parameters) == {"priority": 1}
    assert seen.inputs == inputs
    assert response.outputs == (inputs[1], inputs[0], inputs[3])
    assert (response.model, response.version) == ("digits", "1")
    assert response.provenance == Provenance(
        "edge", certified=False, level="l2", stale=True, region="eu-west", digest="sha256:00ff"
    )


async def test_parameters_of_tensors_pass_both_ways(wire):
    """What is said of an input or a wanted output reaches the other side, and what it says of its outputs comes
    back; how a message carries them does not.
    """
    said = {"content_type": "np", "quality": 3, "exact": True, "scale": 0.5}
    sent = request(
        inputs=(Tensor("x", "UINT8", (2,), b"ab", said), Tensor("y", "UINT8", (1,), b"c")),
        outputs=("x", "y"),
        output_parameters={"x": {"content_type": "str"}},
    )
    service = EchoService(Provenance("edge"))

    async with before(wire, service) as upstream:
        response = await upstream(sent)

    assert service.last.inputs == sent.inputs
    assert dict(service.last.output_parameters) == {"x": {"content_type": "str"}}
    assert [dict(output.parameters) for output in response.outputs] == [said, {}]


@pytest.mark.parametrize("number", [1, (1 << 64) - 1, "a3f0-42"])
async def test_a_step_of_a_sequence_passes_through(wire, number):
    """A model behind the other side may have state: it is told all that was said of the sequence."""
    sequence = {"sequence_id": number, "sequence_start": True, "sequence_end": False}
    service = EchoService()

    async with before(wire, service) as upstream:
        await upstream(request(parameters=sequence))

    assert dict(service.last.parameters) == sequence


async def test_who_asks_travels_with_the_request(wire):
    """Client address, tenant, hops, trace and deadline reach the other gateway; credentials do not."""
    service = EchoService()
    caller = Caller(address="203.0.113.9", tenant="clinic", credential="Bearer secret")
    deadline = asyncio.get_running_loop().time() + 20

    async with before(wire, service) as upstream:
        await upstream(
            request(caller=caller, hops=1, trace=(("traceparent", "00-ab-cd-01"),), deadline=deadline)
        )

    seen = service.last
    assert (seen.caller.address, seen.caller.tenant, seen.hops) == ("203.0.113.9", "clinic", 2)
    assert seen.caller.credential == ""
    assert seen.trace == (("traceparent", "00-ab-cd-01"),)
    assert seen.deadline == pytest.approx(deadline, abs=1)


@pytest.mark.parametrize(
    ("fault", "retryable", "counts"),
    [
        (Fault.INVALID, False, False),
        (Fault.NOT_FOUND, False, False),
        (Fault.UNSUPPORTED, False, False),
        (Fault.OVERLOADED, True, False),
        (Fault.UNAVAILABLE, True, True),
        (Fault.DEADLINE, True, True),
        (Fault.INTERNAL, False, True),
    ],
)
async def test_faults_keep_their_meaning(wire, fault, retryable, counts):
    """A fault of the other gateway is the same fault here, with the flags of an endpoint's failure."""
    async with before(wire, ScriptedService(GatewayError(fault, "10.0.0.7 says no"))) as upstream:
        error = await fails(upstream(request()))

    assert flags(error) == (fault, retryable, counts)
    assert ("10.0.0.7" in error.message) is not (retryable or counts)


async def test_a_trace_that_no_header_can_carry_stays_behind(wire):
    """It is never a reason to refuse: a hit would not have, either."""
    trace = (("traceparent", "00-ab-cd-01"), ("tracestate", "a=\u00e9"))
    service = EchoService()
    async with before(wire, service) as upstream:
        await upstream(request(trace=trace))

    assert service.last.trace == trace[:1]


@pytest.mark.parametrize("fault", [Fault.UNAUTHENTICATED, Fault.FORBIDDEN])
async def test_not_being_let_in_is_no_fault_of_the_client(wire, fault, caplog):
    """The caller was checked here: another endpoint, or the edge, may serve him. The log tells ops, once."""
    service = ScriptedService(GatewayError(fault, "not among trusted_gateways"))
    async with before(wire, service) as upstream:
        errors = [await fails(upstream(request())) for _ in range(2)]

    assert {flags(error) for error in errors} == {(Fault.UNAVAILABLE, True, False)}
    assert "does not let this gateway in" in errors[0].message
    assert caplog.text.count("not among trusted_gateways") == 1


async def test_overload_keeps_its_time(wire):
    """When to come again is passed on in seconds."""
    overload = GatewayError(Fault.OVERLOADED, "full", retry_after_s=2.5)
    async with before(wire, ScriptedService(overload)) as upstream:
        error = await fails(upstream(request()))

    assert error.retry_after_s == 3


async def test_nobody_there(wire):
    """A closed port is a failure of the endpoint, told at once and without its address."""
    upstream = wire(free_port())

    async with asyncio.timeout(30):
        error = await fails(upstream(request()))

    await upstream.aclose()
    assert flags(error) == (Fault.UNAVAILABLE, True, True)
    assert error.message == "endpoint 'far' is unavailable: connection refused"
    assert error.why == Why("refused")
    assert error.unsent


async def test_a_request_that_is_too_late_is_not_sent(wire):
    """Past its deadline a request is nobody's to answer, and nobody's fault."""
    service = EchoService()
    async with before(wire, service) as upstream:
        error = await fails(upstream(request(deadline=asyncio.get_running_loop().time() - 1)))

    assert flags(error) == (Fault.DEADLINE, False, False)
    assert service.requests == []


async def test_leaving_caller_cancels_the_work_there(wire):
    """Cancelling a call cancels it on the other side and leaves the upstream ready for the next."""
    service = ScriptedService(HANG, answer())
    async with before(wire, service) as upstream:
        call = asyncio.ensure_future(upstream(request()))
        await until(lambda: service.running == 1)
        assert repr(upstream).endswith("open, 1 running>")

        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await until(lambda: service.running == 0)

        assert repr(upstream).endswith("open, 0 running>")
        assert (await upstream(request())).model == "digits"


async def test_callers_that_come_and_go(wire):
    """However many leave, and whenever, the others get their own answers and nothing is left behind."""
    chance = Random(7)

    class Slow(EchoService):
        async def __call__(self, request: Any) -> Any:
            await asyncio.sleep(chance.uniform(0, 0.02))
            return await super().__call__(request)

    async with before(wire, Slow()) as upstream:
        calls = {number: asyncio.ensure_future(upstream(request(float(number)))) for number in range(150)}
        for number in range(0, 150, 2):
            await asyncio.sleep(0.0002)
            calls[number].cancel()
        ended = await asyncio.gather(*calls.values(), return_exceptions=True)

        for number, end in zip(calls, ended, strict=True):
            if number % 2:
                assert end.outputs[0].numpy()[0, 0] == number
            else:
                assert isinstance(end, asyncio.CancelledError) or end.outputs[0].numpy()[0, 0] == number
        assert any(isinstance(end, asyncio.CancelledError) for end in ended)
        assert repr(upstream).endswith("open, 0 running>")
        assert (await upstream(request(-1.0))).outputs[0].numpy()[0, 0] == -1


async def test_closing_is_no_evidence(wire):
    """What our own closing ends may be tried elsewhere and counts against nobody."""
    service = ScriptedService(HANG)
    async with before(wire, service) as upstream:
        call = asyncio.ensure_future(upstream(request()))
        await until(lambda: service.running == 1)

        await upstream.aclose()

        assert flags(await fails(call)) == (Fault.UNAVAILABLE, True, False)
        assert flags(await fails(upstream(request()))) == (Fault.UNAVAILABLE, True, False)


async def test_catalogue_of_the_other_side(wire):
    """Metadata and readiness are those that the other side tells."""
    catalog = FakeCatalog(DIGITS)
    async with before(wire, EchoService(), catalog=catalog) as upstream:
        assert await upstream.describe("digits", "1") == DIGITS
        assert await upstream.is_ready("digits", "")
        assert (await fails(upstream.describe("unknown", ""))).fault is Fault.NOT_FOUND
        catalog.unready = frozenset({"digits"})
        assert not await upstream.is_ready("digits", "")


class Listed(AllModels):
    """One model with a configuration of its own, and a list of two."""

    async def config(self, model, version):
        await self.describe(model, version)
        dims = {"name": "image", "data_type": "TYPE_FP32", "dims": [1 << 40]}
        return json.dumps({"max_batch_size": 8, "input": [dims]}).encode()

    async def index(self):
        return [IndexEntry("digits", "1", "READY"), IndexEntry("old", "2", "UNAVAILABLE", "unloaded")]


async def test_configuration_and_index_of_the_other_side(wire):
    """They are those that the other side tells, with numbers of 64 bits."""
    catalogs = Listed(FakeCatalog(DIGITS))
    async with before(wire, EchoService(), catalogs=catalogs) as upstream:
        config = json.loads(await upstream.config("digits", "1"))
        assert (config["name"], config["max_batch_size"]) == ("digits", 8)
        assert config["input"][0]["data_type"] == "TYPE_FP32"
        assert config["input"][0]["dims"] == [1 << 40]
        assert await upstream.index() == await catalogs.index()
        assert (await fails(upstream.config("unknown", ""))).fault is Fault.NOT_FOUND


class Elsewhere:
    """Does the work, and counts it; ``fault``: cannot."""

    def __init__(self, fault: Fault | None = None) -> None:
        self.count, self.fault = 0, fault

    async def __call__(self, work, *arguments):
        self.count += 1
        if self.fault is not None:
            raise GatewayError(self.fault, "not now")
        return work(*arguments)


class Long(AllModels):
    """Its models have as many parts as are passed on."""

    async def config(self, model, version):
        return json.dumps({"parameters": {str(n): {"string_value": "v" * 20} for n in range(900)}}).encode()


async def test_a_long_configuration_is_read_elsewhere(wire):
    """The loop would stand still meanwhile; that nobody can is no evidence, and no absence."""
    elsewhere = Elsewhere()
    async with before(
        lambda port: wire(port, offload=elsewhere), EchoService(), catalogs=Long(FakeCatalog(DIGITS))
    ) as upstream:
        config = json.loads(await upstream.config("digits", ""))
        elsewhere.fault = Fault.OVERLOADED
        busy = await fails(upstream.config("digits", ""))

    assert len(config["parameters"]) == 900
    assert elsewhere.count == 2
    assert busy.fault is Fault.OVERLOADED


async def test_a_lost_worker_of_the_other_side_is_no_evidence(wire):
    """Its other workers have the state of other sequences, which an ejected endpoint would lose."""
    async with before(wire, ScriptedService(lost())) as upstream:
        error = await fails(upstream(request(parameters={"sequence_id": 7})))

    assert not error.counts
    assert "begin the sequence anew" in error.message


async def test_many_calls_at_once(wire):
    """Concurrent calls get their own answers."""
    async with before(wire, EchoService()) as upstream:
        answers = await asyncio.gather(*(upstream(request(float(number))) for number in range(64)))

    assert [response.outputs[0].numpy()[0, 0] for response in answers] == list(range(64))
