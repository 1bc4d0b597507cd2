"""Routes with conditions, looked up and tried one by one: the same."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.request import Caller, Request
from routing.conditions import Conditions, Facts
from routing.matching import Routes
from routing.place import Place
from routing.shelves import Shelves, placed
from tests.routing.policies import policy, route

MATCHES = st.fixed_dictionaries(
    {},
    optional={
        "model": st.sampled_from(["*", "m", "m1", "m*", "*1", "?1"]),
        "tenants": st.sampled_from([["*"], ["acme"], ["acme", "anonymous"]]),
        "version": st.sampled_from(["1", "2"]),
        "headers": st.dictionaries(
            st.sampled_from(["x-a", "X-B"]),
            st.sampled_from(["u", "uv", {"prefix": "u"}, {"prefix": "uv"}, {"regex": "u.*"}]),
            max_size=2,
        ),
        "places": st.sampled_from([["DE"], ["EU"], ["US", "DE"], ["US-CA"]]),
        "asns": st.sampled_from([[64500], [64501, 64502]]),
        "networks": st.sampled_from([["10.0.0.0/8"], ["10.1.0.0/16", "::/0"]]),
        "percent": st.sampled_from([0, 30, 100]),
    },
)
REQUESTS = st.builds(
    Request,
    model=st.sampled_from(["m", "m1", "n1", ""]),
    inputs=st.just(()),
    version=st.sampled_from(["", "1", "2"]),
    caller=st.builds(
        Caller,
        address=st.sampled_from(["", "10.1.0.1", "10.2.0.1", "::1"]),
        tenant=st.sampled_from(["acme", "anonymous", "stranger"]),
    ),
    routed=st.sampled_from([(), (("x-a", "u"),), (("x-a", "uv"), ("x-b", "u")), (("x-b", "w"),)]),
)


def locate(address: str) -> Place | None:
    """Say where an address is."""
    places = {"10.1.0.1": Place("DE", "EU", (), 64500), "10.2.0.1": Place("US", "NA", ("US-CA",), 64502)}
    return places.get(address)


@given(st.lists(MATCHES, min_size=1, max_size=12), REQUESTS)
@settings(max_examples=400)
def test_looking_up_equals_a_plain_search(matches: list[dict[str, Any]], request: Request) -> None:
    """The first route wins whose conditions hold, whatever it stands under; the request stays as it is."""
    made = policy(routes=[route(f"r{i}") | {"match": match} for i, match in enumerate(matches)])
    before = msgspec.structs.replace(request)
    plain = next((each for each in made.routes if Conditions(each).hold(Facts(request, locate))), None)
    routes = Routes(made, locate)

    assert routes.choose(request) is plain
    assert routes.choose(request) is plain
    assert request == before
    for_all = routes.choose_for_series(request)
    assert for_all is None or for_all is plain


def test_each_route_stands_where_few_do() -> None:
    """A thousand canaries of a thousand models stand under their models."""
    matches = [{"model": f"m{number}", "headers": {"x-canary": "yes"}} for number in range(1000)]
    made = policy(routes=[route(f"r{i}") | {"match": match} for i, match in enumerate(matches)])

    where = placed({position: Conditions(each) for position, each in enumerate(made.routes)})

    assert where[7] == ((("model", 0), "m7"),)
    assert repr(Shelves(made)) == "<Shelves of 1000 routes>"
