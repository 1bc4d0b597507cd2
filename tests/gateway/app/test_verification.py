"""Central is asked what the edge has answered: within a rate, a budget, and only where it is well."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from cache.levels.memory import MemoryLevel, MemorySettings
from gateway.app.verification import SMALL_BYTES, CentralCheck, VerificationRoom, central_endpoints
from gateway.core.cache_events import CacheVerified
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import CENTRAL, Provenance, Response
from gateway.core.telemetry import Silence
from gateway.core.tensor import Tensor
from resilience.budget import RetryBudget
from resilience.settings import BudgetSettings
from routing.policy import Endpoint, Policy, Route
from routing.rate import RateMeter
from tests.cache.build import entry
from tests.fakes.service import ScriptedService, answer, request
from tests.fakes.telemetry import RecordingTelemetry

KEY = b"a" * 32
DOWN = GatewayError(Fault.UNAVAILABLE, "down", retryable=True)


class Check:
    """A check before a scripted central tier, of an answer that is held or not."""

    def __init__(self, *steps: object, min_retries: int = 3) -> None:
        self.telemetry, self.level = RecordingTelemetry(), MemoryLevel(MemorySettings(), Silence())
        self.budget = RetryBudget(BudgetSettings(min_retry_concurrency=min_retries))
        self.learned: list[tuple[Response, str]] = []
        self.central = ScriptedService(*steps)  # type: ignore[arg-type]
        self.check = CentralCheck(
            "r",
            self.central,
            level=self.level,
            differs=lambda edge, central: edge.outputs != central.outputs,
            learn=lambda response, version: self.learned.append((response, version)),
            budget=self.budget,
            telemetry=self.telemetry,
        )

    @property
    def results(self) -> list[str]:
        return [event.result for event in self.telemetry.of(CacheVerified)]


@pytest.mark.parametrize(("value", "result"), [(1.0, "agreed"), (2.0, "differed")])
async def test_what_central_answers_is_compared_and_handed_on(value: float, result: str) -> None:
    """It is also what tells which artefact central serves now."""
    check = Check(central := answer("central", value))
    await check.level.put(KEY, entry(answer("edge", 1.0)))

    assert await check.check(request(key=KEY, version="1")) == central

    assert (check.results, check.learned) == ([result], [(central, "1")])
    assert "0 of" in repr(check.budget)


async def test_large_answers_are_compared_elsewhere() -> None:
    """In a thread."""
    large = (Tensor("x", "UINT8", (SMALL_BYTES + 1,), bytes(SMALL_BYTES + 1)),)
    check = Check(Response("digits", "1", large, Provenance(CENTRAL)))
    await check.level.put(KEY, entry(answer("edge", 1.0)))

    await check.check(request(key=KEY))

    assert check.results == ["differed"]


async def test_an_answer_that_is_gone_is_not_compared() -> None:
    """What central has answered is kept all the same."""
    check = Check(answer("central"))

    await check.check(request(key=KEY))

    assert check.results == []


@pytest.mark.parametrize("step", [DOWN, answer("edge")])
async def test_what_is_not_centrals_answer_verifies_nothing(step: object) -> None:
    """Another gateway's edge would only repeat what was answered; nothing is kept, and the place is free."""
    check = Check(step)

    with pytest.raises(GatewayError):
        await check.check(request(key=KEY))

    assert check.results == ["failed"]
    assert "0 of" in repr(check.budget)


async def test_without_room_in_the_retry_budget_central_is_not_asked() -> None:
    """It is in trouble then, and this is not what helps."""
    check = Check(answer("central"), min_retries=0)

    with pytest.raises(GatewayError, match="retry budget"):
        await check.check(request(key=KEY))

    assert (check.results, check.central.requests) == (["skipped"], [])
    assert "r" in repr(check.check)


def test_there_is_room_within_the_rate_and_where_central_is_well() -> None:
    """What finds none is counted."""
    now, telemetry, up = 0.0, RecordingTelemetry(), {"a": False, "b": True}
    room = VerificationRoom(
        "r",
        RateMeter(2.0, lambda: now),
        endpoints=("a", "b"),
        is_available=up.__getitem__,
        telemetry=telemetry,
    )

    assert [room() for _ in range(4)] == [True, True, False, False]
    now = 1.0
    assert room()
    up["b"] = False
    assert not room()
    assert telemetry.of(CacheVerified) == [CacheVerified("r", "skipped")] * 3
    assert "/s" in repr(room)


def test_of_a_route_its_central_endpoints_verify() -> None:
    """Other gateways, and what the policy lacks, do not."""
    central, gateway = (
        Endpoint(tier=tier, region="here", protocol="grpc", address="a:1") for tier in ("central", "edge")
    )
    policy = cast("Policy", SimpleNamespace(endpoints={"c": central, "e": gateway}))

    assert central_endpoints(policy, Route(name="r", endpoints=("e", "gone", "c"))) == ("c",)
