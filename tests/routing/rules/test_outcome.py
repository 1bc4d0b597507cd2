"""What all rules together make of a request: the same as the layers of a gateway."""

from __future__ import annotations

from itertools import product

import msgspec
import pytest

from gateway.core.errors import GatewayError
from gateway.core.request import Caller, Request, Response
from gateway.core.telemetry import Silence
from routing.place import Place
from routing.policy import Policy, Route
from routing.residency import Residency
from routing.router import Router
from routing.rules.outcome import outcome
from tests.fakes.service import ScriptedService, answer, request
from tests.routing.policies import Health, endpoint, policy, route, values

REGIONS = ("eu-west", "us-east", "ap-south")
PLACES = (None, Place("DE", "EU"), Place("US", "NA"))
MADE = policy(
    routes=[
        *values()["routes"],
        route("texts", "texts"),
        route("sounds", "sounds", cascade={}, endpoints=[]),
        route("secrets", "secrets", "acme", endpoints=["eu-west-gw", "central"]),
    ],
    residency=values()["residency"] | {"us-only": {"regions": ["us-east"]}},
    tenants=values()["tenants"] | {"yankee": {"residency": "us-only"}},
)


class Layers:
    """Residency before the Router of one route, in the gateway of one region."""

    def __init__(self, made: Policy, chosen: Route, own: str, place: Place | None) -> None:
        services = {name: ScriptedService(answer(region=name)) for name in made.endpoints}
        self.router = Router(made, chosen, own, endpoints=services, view=Health())
        self.was_here = False
        self.residency = Residency(
            made, own, locate=lambda _address: place, abroad=self.router, telemetry=Silence()
        )

    async def here(self, received: Request) -> Response:
        self.was_here = True
        return await self.router(received)

    async def visited(self, tenant: str, attempts: int) -> list[str]:
        """The endpoints of so many attempts."""
        names = []
        for attempt in range(attempts):
            answered = await self.residency(
                request(caller=Caller("192.0.2.1", tenant), attempt=attempt), self.here
            )
            names.append(answered.provenance.region)
        return names


@pytest.mark.parametrize(
    ("model", "tenant", "place", "own"),
    [*product(("digits", "texts", "sounds", "secrets"), ("anonymous", "acme", "yankee"), PLACES, REGIONS)],
)
async def test_layers_do_the_same(model: str, tenant: str, place: Place | None, own: str) -> None:
    """The same endpoints in the same order, the same use of the own region, refused for the same reason."""
    found = outcome(MADE, model=model, tenant=tenant, place=place, region=own)
    if found.route is None:
        assert (found.refusal, model) == ("no_route", "secrets")
        return
    layers = Layers(MADE, found.route, own, place)

    if found.endpoints:
        visited = await layers.visited(tenant, len(found.endpoints) + 1)
        assert visited == [*found.endpoints, found.endpoints[0]]
    else:
        with pytest.raises(GatewayError, match=r"no allowed region|no endpoint of route") as caught:
            await layers.visited(tenant, 1)
        assert ("no allowed region" in caught.value.message) == (found.refusal == "no_region")
        # Such a request is answered after all where the own region's edge model may.
        assert (found.refusal == "") == (layers.was_here and found.route.cascade is not None)
    assert layers.was_here == found.is_here


LISTS = {"central": ["digits"], "central-eu": ["digits:2"]}


@pytest.mark.parametrize(
    ("model", "version", "endpoints", "lacking"),
    [
        ("digits", "", ["central", "central-eu"], set()),
        ("digits", "2", ["central", "central-eu"], set()),
        ("digits", "1", ["central"], {"central-eu"}),
        ("other", "", ["central", "central-eu"], {"central", "central-eu"}),
    ],
)
def test_lists_of_models(model: str, version: str, endpoints: list[str], lacking: set[str]) -> None:
    """Who does not list the model is passed over, unless nobody does."""
    made = policy(
        endpoints={
            "central": endpoint("us-east", models=LISTS["central"]),
            "central-eu": endpoint("eu-west", models=LISTS["central-eu"]),
        },
        routes=[route(model="*", endpoints=["central", "central-eu"])],
    )
    like = request(version=version)

    found = outcome(made, model=model, tenant="anonymous", place=None, region="us-east", like=like)
    wide = outcome(
        msgspec.structs.replace(made, places={}),
        model=model,
        tenant="anonymous",
        place=None,
        region="us-east",
        like=like,
    )

    assert list(wide.endpoints) == endpoints
    assert wide.lacking == lacking
    # The place is not known: every rule for places applies, whatever is known of models.
    assert set(found.endpoints) == {"central-eu"}
