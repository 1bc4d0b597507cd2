"""A request goes nowhere that its residency forbids: not to a model, not to a cache, not over a wire."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Caller
from tests.scenarios.world import CONFIDENT, UNSURE, World

EXILE = Caller(tenant="exile", vouched=True)
LOCAL = Caller(tenant="local", vouched=True)


async def test_request_that_may_not_be_seen_here_goes_straight_on(tmp_path: Path) -> None:
    """Its answer comes from the allowed region, and nothing of it is computed or kept here."""
    async with World(tmp_path) as world:
        for _ in range(2):
            response = await world.ask(CONFIDENT, caller=EXILE)
            assert (response.provenance.origin, response.provenance.region) == ("central", "there")
            assert response.provenance.level == ""
        assert world.metric('edgeway_batch_rows_count{model="digits"}') == 0


async def test_central_in_a_forbidden_region_gets_no_request(tmp_path: Path) -> None:
    """A tenant that may only be served here gets the edge's answer, or none."""
    async with World(tmp_path, on_central_down="fail") as world:
        assert (await world.ask(CONFIDENT, caller=LOCAL)).provenance.origin == "edge"

        with pytest.raises(GatewayError) as caught:
            await world.ask(UNSURE, caller=LOCAL)

        assert caught.value.fault is Fault.UNAVAILABLE
        assert world.central.prometheus.render().decode().count("edgeway_requests_total{") == 0


async def test_unknown_tenant_is_denied(tmp_path: Path) -> None:
    """A tenant that the policy does not know is nobody's."""
    async with World(tmp_path) as world:
        with pytest.raises(GatewayError) as caught:
            await world.ask(caller=Caller(tenant="stranger", vouched=True))

    assert caught.value.fault is Fault.FORBIDDEN


async def test_answers_are_not_shared_between_tenants(tmp_path: Path) -> None:
    """One tenant's hit is another's miss: equal inputs prove nothing about who may see the answer."""
    async with World(tmp_path) as world:
        await world.ask(CONFIDENT)
        assert (await world.ask(CONFIDENT)).provenance.level == "l1"

        assert (await world.ask(CONFIDENT, caller=LOCAL)).provenance.level == ""
