"""One member of an endpoint."""

from __future__ import annotations

from tests.fakes.virtual_time import virtual_time
from tests.gateway.app.pools.scene import Scene, text
from tests.resilience.peers import silent


@virtual_time
async def test_it_says_how_it_is() -> None:
    """For operators: state, share, place, load, and what it has done."""
    scene = Scene(failures=5)
    pool = scene.enforce(text("{address: '10.0.0.1:80', weight: 4, zone: b}"))
    (member,) = pool.members
    await scene.ask()
    scene.members["10.0.0.1:80"].steps = [silent()]
    await scene.ask()
    scene.workshop.endpoints.drained.drain("central/10.0.0.1:80")

    report = dict(member.report())

    assert report.pop("latency_ms") >= 0
    assert report == {
        "state": "closed",
        "weight": 4,
        "zone": "b",
        "drained": True,
        "penalized": True,
        "active": 0,
        "requests": 2,
        "failures": 1,
    }
    assert (member.is_up, member.is_available, member.is_well, member.is_drained) == (
        True,
        False,
        False,
        True,
    )
    assert repr(member).startswith("<PoolMember <EndpointHealth <Ejection central/10.0.0.1:80 closed")
    await scene.aclose()


@virtual_time
async def test_one_that_leaves_gets_nothing() -> None:
    """Nor does it stand in for others."""
    scene = Scene()
    (member,) = scene.enforce(text("10.0.0.1:80")).members
    assert member.is_available

    member.is_leaving = True

    assert not any((member.is_up, member.is_available, member.is_well, member.is_preferred("digits")))
    await scene.aclose()
