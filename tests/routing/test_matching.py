"""Which route a request takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.request import Request
from routing.matching import Index, Routes, covers
from routing.place import Place
from routing.policy import ANY, Match
from tests.routing.policies import policy, route

PATTERNS = st.text("ab", max_size=3) | st.text("ab", max_size=2).map(lambda prefix: prefix + "*")


@pytest.mark.parametrize(
    ("model", "tenant", "name"),
    [
        ("digits", "acme", "acme-digits"),
        ("digits", "anonymous", "digits"),
        ("digits", "stranger", "digits"),
        ("vision-small", "acme", "vision"),
        ("vision-", "anonymous", "vision"),
        ("vision", "anonymous", None),
        ("vision-x", "stranger", "vision"),
        ("Digits", "acme", None),
        ("", "acme", None),
        ("words", "acme", "words"),
        ("words", "anonymous", None),
    ],
)
def test_first_match_wins(model: str, tenant: str, name: str | None) -> None:
    """Model and tenant choose the first route that takes both."""
    routes = Routes(
        policy(
            routes=[
                route("acme-digits", "digits", "acme"),
                route("digits", "digits"),
                route("vision", "vision-*"),
                route("words", "words", "acme"),
                route("late", "digits"),
            ]
        )
    )

    found = routes.find(model, tenant)

    assert (found.name if found else None) == name


@given(
    st.lists(
        st.tuples(PATTERNS, st.sampled_from([("*",), ("acme",), ("anonymous",), ("acme", "*")])), min_size=1
    ),
    st.text("ab*", max_size=4),
    st.sampled_from(["acme", "anonymous", "stranger"]),
)
def test_lookup_equals_a_plain_search(
    rows: list[tuple[str, tuple[str, ...]]], model: str, tenant: str
) -> None:
    """The table and the memo change the speed, never the answer."""
    made = policy(routes=[route(f"r{i}", pattern, *tenants) for i, (pattern, tenants) in enumerate(rows)])
    routes = Routes(made)

    plain = next(
        (r for r in made.routes if covers(r.match.model, model) and {ANY, tenant} & set(r.match.tenants)),
        None,
    )

    assert routes.find(model, tenant) is plain
    assert routes.find(model, tenant) is plain


@given(PATTERNS, PATTERNS, st.text("ab", max_size=4))
def test_covering_is_transitive(outer: str, inner: str, model: str) -> None:
    """What a covered pattern matches, the covering one matches too."""
    if covers(outer, inner) and covers(inner, model):
        assert covers(outer, model)


def test_flood_of_names_is_forgotten() -> None:
    """The memo is bounded, whatever strangers ask for."""
    routes = Routes(policy(routes=[route("vision", "vision-*")]))

    for number in range(10_000):
        routes.find(f"vision-{number}", "acme")

    assert repr(routes) == "<Routes 1 routes, 4096 remembered>"


def test_index_grows_with_the_policy_only() -> None:
    """A thousand routes and a thousand tenants make a thousand entries, not a million."""
    index = Index()

    for position in range(1000):
        index.add(position, Match(model=f"m{position}", tenants=(f"t{position}",)))

    assert [len(takers.tenants) for takers in index.covering("m7")] == [1]
    assert index.first("m7", "t7") == 7
    assert index.first("m7", "t8") is None


def test_look_up_does_not_walk_over_routes() -> None:
    """A look-up meets the patterns that match the model, and no other route."""
    index = Index()

    for position in range(1000):
        index.add(position, Match(model=f"m{position}"))
        index.add(1000 + position, Match(model="m1*", tenants=(f"t{position}",)))

    assert len(index.covering("m12")) == 2
    assert index.first("m12", "t999") == 12
    assert index.first("m1000", "t999") == 1999


@pytest.mark.parametrize(
    ("model", "tenant", "is_alone"),
    [
        ("acmes", "acme", True),
        ("acmes", "umbrella", False),
        ("shared", "acme", False),
        ("everybodys", "acme", False),
        ("vision-1", "acme", True),
        ("vision-2", "acme", False),
        ("nobodys", "acme", True),
    ],
)
def test_whose_model_it_is(model: str, tenant: str, is_alone: bool) -> None:
    """A model is a tenant's alone when no route takes it from another."""
    routes = Routes(
        policy(
            routes=[
                route("acmes", "acmes", "acme"),
                route("shared", "shared", "acme", "umbrella"),
                route("everybodys", "everybodys"),
                route("vision", "vision-*", "acme"),
                route("vision-2", "vision-2", "umbrella"),
            ]
        )
    )

    assert routes.is_alone(model, tenant) is is_alone


def test_the_same_routes_with_another_word_of_where_clients_are() -> None:
    """They are made ready in a thread, before it is known which databases are in use."""
    places = {"match": {"model": "digits", "places": ["DE"]}}
    routes = Routes(policy(routes=[{**route("german", "digits"), **places}, route("others", "digits")]))
    german = routes.at(lambda _address: Place("DE", "EU"))

    asked = Request("digits", ())

    assert [found and found.name for found in (routes.choose(asked), german.choose(asked))] == [
        "others",
        "german",
    ]
