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
            st.sampled_from(
                [
                    "u",
                    "uv",
                    {"prefix": "u"},
                    {"prefix": "uv"},
                    *({"regex": f"{'u' * n}.*"} for n in range(1, 4)),
                ]
            ),
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
@settings(max_examples=600)
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


def expressions(count: int, **match: Any) -> dict[int, Conditions]:
    """The conditions of routes with an expression each."""
    matches = [{"headers": {"x-user": {"regex": f"u{number}-.*"}}} | match for number in range(count)]
    made = policy(routes=[route(f"r{i}") | {"match": match} for i, match in enumerate(matches)])
    return {position: Conditions(each) for position, each in enumerate(made.routes)}


def test_expressions_are_looked_up() -> None:
    """Many of one header, which differ in nothing else."""
    where = placed(expressions(64, model="m"))

    assert where[7] == ((("header expression", "x-user"), "u7-.*"),)


def test_more_expressions_than_are_tried_together() -> None:
    """Each stands elsewhere, or nowhere: a set of a thousand would need more memory than there is."""
    assert set(placed(expressions(65, model="m")).values()) == {((("model", 0), "m"),)}
    assert set(placed(expressions(65)).values()) == {()}


def test_few_in_one_place_need_no_expression() -> None:
    """Those that stand under a model are tried there."""
    assert set(placed(expressions(4, model="m")).values()) == {((("model", 0), "m"),)}


class Counting(str):
    """The name of a model that counts how often it is compared."""

    __slots__ = ()
    compared = 0

    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        Counting.compared += 1
        return str(self) == other


def test_what_is_looked_up_is_not_tried_again() -> None:
    """Of sixteen canaries of one model none compares its name."""
    made = policy(
        routes=[route(f"r{number}") | {"match": {"model": "m", "percent": 1}} for number in range(16)]
    )
    shelves = Shelves(made)
    facts = Facts(Request(Counting("m"), ()), locate)
    shelves.first(facts, 16)

    assert Counting.compared <= 1
