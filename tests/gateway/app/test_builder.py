"""Building generations: nothing in force changes, and what a swap leaves behind is closed in time."""

from __future__ import annotations

import asyncio

import pytest

from gateway.app.endpoints import RETIRE_EXTRA_S
from gateway.core.request import Caller, Request
from tests.fakes.virtual_time import virtual_time
from tests.gateway.app.workshop import Workshop
from tests.gateway.policies import GOOD, TWO_ROUTES

HTTP = GOOD.replace("protocol: grpc", "protocol: http")
SLOW = HTTP.replace("  cascade:", "  timeout_ms: 40000\n  cascade:")
FAST = SLOW.replace("generation: 1", "generation: 2").replace("timeout_ms: 40000", "timeout_ms: 1000")
NEXT = FAST.replace("generation: 2", "generation: 3")
NEXT = NEXT.replace("  central:", "  other:").replace("[central]", "[other]")


async def retired_after(workshop: Workshop, seconds: float) -> tuple[int, int]:
    """How many endpoints are retiring just before and just after ``seconds`` from now."""
    await asyncio.sleep(seconds - 0.5)
    before = workshop.endpoints.num_retiring
    await asyncio.sleep(1)
    return before, workshop.endpoints.num_retiring


@virtual_time
async def test_an_endpoint_that_is_dropped_outlives_the_requests_that_hold_it() -> None:
    """It stays open for as long as any policy before let requests run, whatever the new ones allow."""
    workshop = Workshop()
    for text in (SLOW, FAST, NEXT):
        workshop.enforce(text)

    assert await retired_after(workshop, 40 + RETIRE_EXTRA_S) == (1, 0)
    assert workshop.in_force.policy().generation == 3
    await workshop.aclose()


@virtual_time
async def test_time_between_the_swaps_counts() -> None:
    """Requests of the slow policy began before it was replaced; those of the fast one may begin later."""
    workshop = Workshop()
    workshop.enforce(SLOW)
    await asyncio.sleep(100)
    workshop.enforce(FAST)
    await asyncio.sleep(30)
    workshop.enforce(NEXT)
    # 10 s are left of the 40 s that the slow policy's last request may take.
    assert await retired_after(workshop, 10 + RETIRE_EXTRA_S) == (1, 0)

    await asyncio.sleep(100)
    workshop.enforce(HTTP.replace("generation: 1", "generation: 4"))
    # Now only the fast policy's second counts.
    assert await retired_after(workshop, 1 + RETIRE_EXTRA_S) == (1, 0)
    await workshop.aclose()


@virtual_time
async def test_the_slowest_of_two_routes_counts() -> None:
    """In whichever order the policy names them."""
    slow, fast = "timeout_ms: 30000, match", "timeout_ms: 1000, match"
    for first, second in ((slow, "1000"), (fast, "30000")):
        workshop = Workshop()
        text = TWO_ROUTES.replace("name: exiles, match", f"name: exiles, {first}")
        text = text.replace("  cascade:", f"  timeout_ms: {second}\n  cascade:")
        generation = workshop.enforce(text)
        workshop.enforce(
            text.replace("generation: 1", "generation: 2").replace("127.0.0.1:9", "127.0.0.1:10")
        )

        assert generation.longest_s == 30
        assert await retired_after(workshop, 30 + RETIRE_EXTRA_S) == (1, 0)
        await workshop.aclose()


async def test_building_changes_nothing_that_is_in_force() -> None:
    """Neither the generation nor its endpoints, until the swap."""
    workshop = Workshop()
    first = workshop.enforce(SLOW)

    built = workshop.build(NEXT)
    again = workshop.build(NEXT)
    assert (again.number, again.serial > built.serial) == (built.number, True)

    assert workshop.in_force.current() is first
    assert set(workshop.in_force.endpoints().by_name) == {"central"}
    assert set(built.endpoints.by_name) == {"other"}
    assert workshop.endpoints.num_retiring == 0
    workshop.endpoints.discard(built.endpoints)
    await workshop.aclose()


@virtual_time
async def test_a_stack_that_cannot_be_built_leaves_no_trace() -> None:
    """What was opened for it is closed, what both would share stays open and serves on."""
    workshop = Workshop()
    first = workshop.enforce(SLOW)
    central = first.endpoints.by_name["central"]
    more = FAST.replace(
        "endpoints:\n",
        "endpoints:\n  other: {tier: central, region: here, protocol: http, address: '127.0.0.1:10'}\n",
        1,
    )

    workshop.observed.is_failing = True
    with pytest.raises(KeyError, match="a bug while building"):
        workshop.build(more)
    assert workshop.endpoints.num_retiring == 1, "the new one, which closes at once"
    await asyncio.sleep(0.001)

    assert workshop.endpoints.num_retiring == 0
    assert workshop.in_force.current() is first
    assert "closed" not in repr(central.members[0].parts.upstream)
    workshop.observed.is_failing = False
    assert workshop.enforce(more).endpoints.by_name["central"] is central
    assert repr(workshop.builder) == "<Builder for here>"
    await workshop.aclose()


TABLE = GOOD.replace(
    "routes:\n",
    "places: {DE: only-there}\n"
    "networks: {10.0.0.0/8: DE, 10.1.0.0/16: {place: FR, asn: 64500}, 10.2.0.0/16: {asn: 64500}}\n"
    "routes:\n- {name: partner, match: {model: digits, asns: [64500]}, endpoints: [central]}\n",
)


@pytest.mark.parametrize(
    ("address", "regions", "route"),
    [
        ("10.9.9.9", {"there"}, "digits"),
        ("10.1.9.9", {"here", "there"}, "partner"),
        ("10.2.9.9", {"there"}, "partner"),
        ("8.8.8.8", {"there"}, "digits"),
    ],
)
async def test_the_table_of_networks_goes_before_the_geo_database(
    address: str, regions: set[str], route: str
) -> None:
    """For residency and for routes; one whose ASN alone is known is as narrowed as one who is not known."""
    asked: list[str] = []
    workshop = Workshop(locate=asked.append)  # type: ignore[func-returns-value]
    generation = workshop.enforce(TABLE)
    assert generation.matching is not None

    caller = generation.identify(Caller(address))
    chosen = generation.matching.choose(Request("digits", (), caller=caller))

    assert caller.regions == regions
    assert chosen is not None
    assert chosen.name == route
    assert address in asked
    await workshop.aclose()


async def test_what_nobody_here_can_know_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """For as long as it is so; again after it was not."""
    workshop = Workshop()
    lacking = TABLE.replace(", asn: 64500}", "}").replace("{asn: 64500}", "FR")

    def texts(text: str, generation: int) -> list[str]:
        caplog.clear()
        workshop.enforce(text.replace("generation: 1", f"generation: {generation}"))
        return [record.getMessage() for record in caplog.records if "no geo database" in record.getMessage()]

    why = "no geo database has ASNs: no request meets `asns` of route 'partner'"
    assert texts(lacking, 1) == [f"policy generation 1: {why}"]
    assert texts(lacking, 2) == []
    assert texts(TABLE, 3) == []
    assert texts(lacking, 4) == [f"policy generation 4: {why}"]
    await workshop.aclose()
