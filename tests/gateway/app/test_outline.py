"""The stacks that a gateway would build, without a gateway."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from cache.levels.redis_settings import RedisSettings
from cache.settings import CacheSettings
from edge_models.cascade import Cascade
from gateway.app.outline import UnloadedModel, UnreadLicence, assumed, outline
from gateway.config.policy_file import load_policy
from gateway.config.settings import TelemetrySettings
from gateway.core.clock import LoopClock
from gateway.core.errors import Fault, GatewayError
from gateway.core.telemetry import Silence
from resilience.settings import ResilienceSettings, RetrySettings
from routing.policy import Policy
from tests.fakes.service import ScriptedService, answer, request
from tests.gateway.policies import GOOD, write_policy


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    return load_policy(write_policy(tmp_path, GOOD))[0]


async def test_defaults_have_a_cache_and_an_edge_model(policy: Policy) -> None:
    """Where nothing but the policy is known, all layers are shown that it may have."""
    report = await outline(policy, assumed("here"))

    roles = [layer.role for layer in report.routes["digits"]]
    assert roles == [
        *("residency", "deadline", "cache look-up", "single flight", "cache fill"),
        *("cascade", "retry", "router"),
    ]
    assert list(report.endpoints) == ["central"]
    assert report.generation == 1


async def test_settings_decide_what_there_is(policy: Policy) -> None:
    """Levels, spans, limits and retries are those of the settings; without a cache or models there are no such layers."""
    settings = msgspec.structs.replace(
        assumed("here"),
        cache=CacheSettings(redis=RedisSettings(url="redis://user:hunter2@127.0.0.1:1/0")),
        telemetry=TelemetrySettings(otlp_endpoint="http://127.0.0.1:1"),
    )
    bare = msgspec.structs.replace(
        settings, cache=None, models=None, resilience=ResilienceSettings(retry=RetrySettings(num_retries=0))
    )

    layers = (await outline(policy, settings)).routes["digits"]
    without = (await outline(policy, bare)).routes["digits"]

    assert "<RedisLevel <RedisNames edgeway:" in layers[4].filter
    assert "hunter2" not in str(layers)
    assert layers[2].observers == ("<Span cache>",)
    assert [layer.role for layer in without] == ["residency", "deadline", "router"]


async def test_an_unread_licence_permits_nothing() -> None:
    """A cascade with it defers whatever comes, and what central answers changes nothing."""
    licence, central = UnreadLicence("digits"), ScriptedService(answer(), answer())
    cascade = Cascade(
        ScriptedService(),
        {"digits": licence},
        on_central_down="fail",
        region="here",
        clock=LoopClock(),
        telemetry=Silence(),
    )

    for each in (request(), request(classes={"scores": 1})):
        assert await cascade(each, central) is not None

    assert len(central.requests) == 2
    assert not licence.is_valid("1")
    assert not licence.fits(request())
    assert not licence.covers(answer())
    assert not licence.classifies({})
    assert (licence.served(()), licence.proof(), licence.reason()) == (None, "", "missing")


async def test_nothing_can_be_computed() -> None:
    """The models are not loaded, and say so."""
    with pytest.raises(GatewayError) as caught:
        await UnloadedModel()(request())

    assert caught.value.fault is Fault.UNAVAILABLE
