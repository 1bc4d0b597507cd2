"""The filter that fixes the allowed regions."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import fields, replace

from gateway.core.cache_control import CacheDirectives
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Caller, Request, Response
from gateway.core.service import FastPath
from gateway.core.telemetry import Refused
from routing.place import Place
from routing.policy import Policy
from routing.residency import Residency
from tests.fakes.service import HANG, ScriptedService, answer, request
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.virtual_time import virtual_time
from tests.routing.policies import policy

GERMAN, AMERICAN = "2.0.0.1", "3.0.0.1"
PLACES = {GERMAN: Place("DE", "EU"), AMERICAN: Place("US", "NA")}
EVERYWHERE = frozenset({"eu-west", "us-east", "ap-south"})


class Scene:
    """A Residency in one region between the rest of the stack and the way abroad."""

    def __init__(self, own_region: str, made: Policy | None = None) -> None:
        self.here, self.abroad = ScriptedService(answer("edge")), ScriptedService(answer("central"))
        self.telemetry = RecordingTelemetry()
        self.received: list[str] = []
        self.residency = Residency(
            made or policy(),
            own_region,
            locate=self.locate,
            abroad=self.abroad,
            telemetry=self.telemetry,
        )

    def locate(self, address: str) -> Place | None:
        self.received.append(address)
        return PLACES.get(address)

    async def ask(self, address: str = AMERICAN, tenant: str = "anonymous", **changes: object) -> Request:
        caller = Caller(address, tenant)
        await self.residency(request(caller=caller, **changes), self.here)
        return (self.here.requests + self.abroad.requests)[-1]


async def test_request_that_may_be_seen_here_stays() -> None:
    """The rest of the stack answers, and sees the regions and the class."""
    scene = Scene("us-east")

    seen = await scene.ask()

    assert seen.regions == EVERYWHERE
    assert seen.caller == Caller(AMERICAN, "anonymous", residency="anywhere")
    assert scene.abroad.requests == []


async def test_request_that_may_not_be_seen_here_goes_abroad() -> None:
    """A German client that calls us-east is sent past the cache and the model of us-east."""
    scene = Scene("us-east")

    seen = await scene.ask(GERMAN)

    assert scene.here.requests == []
    assert seen.regions == {"eu-west"}
    assert seen.caller.residency == "eu-only"


async def test_unknown_place_counts_as_the_strictest() -> None:
    """With a rule for some place, a client that nobody can place falls under it."""
    scene = Scene("us-east")

    assert (await scene.ask("10.0.0.1")).regions == {"eu-west"}
    assert (await scene.ask("")).regions == {"eu-west"}
    assert scene.here.requests == []


async def test_nothing_but_caller_and_regions_changes() -> None:
    """Every other field of the request comes through, those of later days too."""
    scene = Scene("us-east")
    original = Request(
        "digits",
        request().inputs,
        "id",
        "2",
        ("probabilities",),
        {"priority": 1},
        Caller(AMERICAN, vouched=True),
        12.5,
        3,
        ("central/127.0.0.1:9",),
        ["central/127.0.0.1:9"],
        frozenset({"us-east"}),
        2,
        (("traceparent", "00"),),
        (("x-kind", "a"),),
        (("x-app", "b"),),
        {"probabilities": 3},
        {"probabilities": {"content_type": "np"}},
        b"key",
        2.5,
        True,
        CacheDirectives(no_cache=True),
        "default",
    )
    assert all(
        getattr(original, field.name) != getattr(Request("", ()), field.name) for field in fields(Request)
    )

    await scene.residency(original, scene.here)

    caller = replace(original.caller, residency="anywhere")
    assert scene.here.requests == [replace(original, caller=caller)]


async def test_set_can_only_be_narrowed() -> None:
    """A request that arrives with regions keeps no others."""
    scene = Scene("us-east")

    assert (await scene.ask(regions=frozenset({"us-east", "mars"}))).regions == {"us-east"}
    assert (await scene.ask(regions=frozenset({"ap-south"}))).regions == {"ap-south"}
    assert len(scene.abroad.requests) == 1


@pytest.mark.parametrize(
    ("tenant", "regions"), [("stranger", None), ("acme", frozenset({"us-east"})), ("acme", frozenset())]
)
async def test_no_allowed_region_is_refused(tenant: str, regions: frozenset[str] | None) -> None:
    """An empty set ends the request: 503, not to be retried, counted, and against nobody."""
    scene = Scene("us-east")

    with pytest.raises(GatewayError, match="no allowed region") as caught:
        await scene.ask(AMERICAN, tenant, regions=regions)

    error = caught.value
    assert (error.fault, error.retry_after_s) == (Fault.UNAVAILABLE, None)
    assert not error.retryable
    assert not error.counts
    assert scene.telemetry.events == [Refused("residency", "no_region")]
    assert scene.here.requests == scene.abroad.requests == []


async def test_decision_is_remembered_for_address_and_tenant() -> None:
    """A place is looked up once for each address and tenant, and the memory is bounded."""
    scene = Scene("us-east")

    for _ in range(3):
        await scene.ask(AMERICAN)
        await scene.ask(AMERICAN, "acme")
    assert scene.received == [AMERICAN, AMERICAN]

    for number in range(9000):
        await scene.ask(f"10.{number >> 8}.{number & 255}.1")
    await scene.ask(AMERICAN)
    assert scene.received.count(AMERICAN) == 3


async def test_tenants_at_one_address_are_kept_apart() -> None:
    """One address behind which two tenants sit does not lend one's decision to the other."""
    scene = Scene("eu-west")

    open_one = await scene.ask(AMERICAN, "anonymous")
    strict = await scene.ask(AMERICAN, "acme")

    assert (open_one.caller.residency, open_one.regions) == ("anywhere", EVERYWHERE)
    assert (strict.caller.residency, strict.regions) == ("eu-only", {"eu-west"})


async def test_credential_goes_no_further() -> None:
    """Below this filter nobody needs the key."""
    scene = Scene("us-east")

    await scene.residency(request(caller=Caller(AMERICAN, credential="secret")), scene.here)

    assert scene.here.requests[0].caller.credential == ""


async def test_error_of_the_rest_passes_through() -> None:
    """What the rest raises is not touched."""
    scene = Scene("us-east")
    scene.here.steps = [GatewayError(Fault.OVERLOADED, "full")]

    with pytest.raises(GatewayError, match="full"):
        await scene.ask()


@virtual_time
async def test_cancelled_caller_leaves_it_clean() -> None:
    """Cancelling reaches the service that waits, and the next caller is served."""
    scene = Scene("us-east")
    scene.here.steps = [HANG, answer()]

    waiting = asyncio.create_task(scene.ask())
    await asyncio.sleep(1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert scene.here.running == 0
    await scene.ask()
    assert repr(scene.residency) == "<Residency us-east>"


class Paved:
    """A service that is reached on a fast path and keeps what it was asked for."""

    def __init__(self) -> None:
        self.found: list[Request] = []

    async def __call__(self, request: Request) -> Response:
        raise AssertionError("the fast path leads past the call")

    def fast_path(self, like: Request) -> FastPath:
        self.found.append(like)
        return lambda _: answer("edge")


async def test_the_fast_path_knows_the_same_regions() -> None:
    """What is decided for a series is what is decided for each of its requests."""
    scene, here = Scene("us-east"), Paved()

    path = scene.residency.fast_path(request(caller=Caller(AMERICAN)), here.fast_path)

    assert path is not None
    assert path([b""]) == answer("edge")
    assert here.found[0] == replace(request(), caller=(await scene.ask()).caller, regions=EVERYWHERE)


async def test_no_fast_path_leads_abroad() -> None:
    """Nothing of a request that may not be seen here is looked up here."""
    scene, here = Scene("us-east"), Paved()

    assert scene.residency.fast_path(request(caller=Caller(GERMAN)), here.fast_path) is None
    assert here.found == []
    with pytest.raises(GatewayError, match="no allowed region"):
        scene.residency.fast_path(
            request(caller=Caller(GERMAN), regions=frozenset({"us-east"})), here.fast_path
        )
