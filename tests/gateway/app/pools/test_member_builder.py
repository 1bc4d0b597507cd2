"""How members are built: what of their endpoint they have, and what of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from gateway.app.pools.member import MemberStacks, PoolMember
from gateway.core.errors import Fault, GatewayError
from tests.fakes.service import request
from tests.fakes.virtual_time import virtual_time
from tests.gateway.app.pools.scene import Scene, text, three
from tests.resilience.peers import silent


@virtual_time
async def test_each_member_has_limits_of_its_own() -> None:
    """One that is out, or full, says nothing of the others."""
    scene = Scene(failures=1)
    pool = scene.enforce(three(more="max_concurrency: 2, attempt_timeout_ms: 500"))
    one, two, three_ = pool.members
    scene.members[one.name].steps = [silent()]

    with pytest.raises(GatewayError):
        await one.stacks.service(request())
    await two.stacks.service(request())

    assert [each.parts.health.state for each in (one, two, three_)] == ["open", "closed", "closed"]
    stack = repr(one.stacks.service.report())
    assert "0 of 2 running" in stack
    assert "AttemptTimeout 0.5 s" in stack
    await scene.aclose()


@virtual_time
async def test_the_stacks_of_a_member_are_made_when_it_gets_its_first_request() -> None:
    """Of a thousand members that come into force most get none here."""
    scene = Scene()
    pool = scene.enforce(three())
    made: list[str] = []

    def counted(member: PoolMember) -> Callable[[], MemberStacks]:
        make = member.parts.stack

        def stack() -> MemberStacks:
            made.append(member.name)
            return make()

        return stack

    for member in pool.members:
        member.parts = replace(member.parts, stack=counted(member))
    first = pool.members[0]

    await first.stacks.service(request())
    await first.stacks.mirror(request())

    assert made == [first.name]
    await scene.aclose()


@virtual_time
async def test_the_older_form_is_called_as_ever() -> None:
    """Its breaker has the endpoint's name, in errors as well."""
    scene = Scene(failures=1)
    old = text("10.0.0.1:80").replace("addresses: ['10.0.0.1:80']", "address: '10.0.0.1:80'")
    pool = scene.enforce(old)
    scene.members["10.0.0.1:80"].steps = [silent()]
    with pytest.raises(GatewayError):
        await pool(request())

    with pytest.raises(
        GatewayError, match="endpoint 'central' is unavailable: its circuit breaker is open"
    ) as caught:
        await pool(request())

    assert caught.value.fault is Fault.UNAVAILABLE
    assert pool.members[0].parts.health.name == "central"
    assert pool.report() == {"state": "open", "reason": "refused", "detail": ""}
    await scene.aclose()
