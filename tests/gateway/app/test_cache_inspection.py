"""What is known of one answer."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.app.foundation import Foundation
from gateway.app.tier import Tier
from gateway.core.cache_inspection import CacheQuestion, Inspection
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Caller, Request
from tests.fakes.redis_server import RedisServer
from tests.gateway.app.processes import EDGE
from tests.gateway.app.test_caches import with_redis
from tests.gateway.app.test_edge import CERTIFIED, opened
from tests.scenarios.world import CONFIDENT, UNSURE, picture

ROUTE = "- name: digits\n"
CASCADE = "  cascade: {on_central_down: serve_edge}\n"


@asynccontextmanager
async def edge(tmp_path: Path, text: str = EDGE, policy: str = CERTIFIED):
    async with AsyncExitStack() as lifetimes:
        yield await opened(lifetimes, tmp_path, text, policy)


def body_of(request: Request, **more: Any) -> dict[str, Any]:
    """The protocol's JSON of a request."""
    inputs = [
        {
            "name": each.name,
            "shape": list(each.shape),
            "datatype": each.datatype,
            "data": each.numpy().ravel().tolist(),
        }
        for each in request.inputs
    ]
    return {"inputs": inputs, **more}


def question(image: int = CONFIDENT, body: dict[str, Any] | None = None, **fields: Any) -> CacheQuestion:
    raw = json.dumps(body or body_of(picture(image))).encode()
    return CacheQuestion(**{"model": "digits", "request": msgspec.Raw(raw), **fields})


async def ask(process: tuple[Foundation, Tier], tenant: str = "anonymous", **changes: Any) -> None:
    caller = Caller(tenant=tenant, vouched=True)
    await process[0].in_force.current()(picture(CONFIDENT, caller=caller, **changes))


async def inspect(process: tuple[Foundation, Tier], **fields: Any) -> Inspection:
    return await process[1].cache.inspect(question(**fields))


async def test_a_question_finds_what_a_request_has_left(tmp_path: Path) -> None:
    """Under the same key, whole but for its values; no hit is counted."""
    async with edge(tmp_path) as process:
        assert (await inspect(process)).levels[0].state == "absent"
        await ask(process)
        found = await inspect(process)
        by_key = await process[1].cache.inspect(CacheQuestion(key=found.key.upper()))
        other = await inspect(process, image=UNSURE)
        lookups = (await process[1].cache.report(0)).levels[0].lookups

    [level] = found.levels
    assert level.answer is not None
    assert (found.route, found.tenant, found.residency, found.scope) == (
        *("digits", "anonymous", "anywhere", "tenant"),
    )
    assert found.reasons == ()
    assert (level.level, level.state, level.answer.origin, level.answer.certified) == (
        *("l1", "fresh", "edge", False),
    )
    assert 0 < level.answer.fresh_s <= 5
    assert (level.answer.model, level.answer.region) == ("digits", "here")
    [output] = level.answer.outputs
    assert (output.datatype, output.shape, output.bytes) == ("FP32", (1, 10), 40)
    assert by_key.levels[0].answer is not None and by_key.route == ""
    assert by_key.levels[0].answer.outputs == level.answer.outputs
    assert (other.key != found.key, other.levels[0].state) == (True, "absent")
    assert lookups == {"miss": 1}


async def test_the_key_is_the_requests(tmp_path: Path) -> None:
    """Whatever a request says that computes something is part of it, and nothing else is."""
    async with edge(tmp_path) as process:
        await ask(process)
        plain = await inspect(process)
        ignored = await inspect(process, body=body_of(picture(CONFIDENT), id="a", parameters={"priority": 3}))
        more = await inspect(process, body=body_of(picture(CONFIDENT), parameters={"temperature": 1.5}))
        version = await inspect(process, version="1")
        elsewhere = await inspect(process, residency="only-there")

    assert ignored.key == plain.key and ignored.levels[0].state == "fresh"
    assert len({plain.key, more.key, version.key, elsewhere.key}) == 4
    assert elsewhere.residency == "only-there"
    assert {each.levels[0].state for each in (more, version, elsewhere)} == {"absent"}


async def test_a_large_body_is_read_elsewhere(tmp_path: Path) -> None:
    """It has the same key as a small one that means the same."""
    spaced = json.dumps(body_of(picture(CONFIDENT))).replace(",", "," + " " * 2000).encode()
    assert len(spaced) > 64 << 10
    async with edge(tmp_path) as process:
        small = await inspect(process)
        large = await inspect(process, request=msgspec.Raw(spaced))

    assert small.key == large.key


async def test_a_redis_is_looked_into_as_well(tmp_path: Path, redis: RedisServer) -> None:
    """It shows that it has nothing, and how it is."""
    async with edge(tmp_path, with_redis(redis.url)) as process:
        found = await inspect(process)

    near, far = found.levels
    assert (near.level, far.level, far.state) == ("l1", "l2", "absent")
    assert far.level_state.startswith("<RedisLevel")


@pytest.mark.parametrize(
    ("policy", "fields", "reason"),
    [
        (CERTIFIED.replace("  digest: ", "  # "), {}, "has no digest"),
        (CERTIFIED.replace(ROUTE, ROUTE + "  cache: {enabled: false}\n"), {}, "`cache: {enabled: false}`"),
        (
            CERTIFIED.replace(ROUTE, ROUTE + "  cache: {bypass: [{headers: {x-fresh: 'yes'}}]}\n"),
            {"headers": {"X-Fresh": "yes"}},
            "`cache: {bypass: …}`",
        ),
        (
            CERTIFIED,
            {"tenant": "exile"},
            "region 'here' may not see it (residency 'only-there'): it goes on to there",
        ),
        (
            CERTIFIED,
            {"body": body_of(picture(CONFIDENT), parameters={"sequence_id": 7})},
            "a step of a sequence",
        ),
    ],
    ids=["no digest", "switched off", "bypassed", "abroad", "a sequence"],
)
async def test_why_nothing_is_kept(tmp_path: Path, policy: str, fields: Any, reason: str) -> None:
    """Then there is no key, and no level is asked."""
    if "no digest" in reason:
        policy = policy.replace(CASCADE, "")
    async with edge(tmp_path, policy=policy) as process:
        found = await inspect(process, **fields)

    assert (found.route, found.key, found.levels) == ("digits", "", ())
    assert len(found.reasons) == 1 and reason in found.reasons[0]


async def test_versions_are_those_that_the_route_gives(tmp_path: Path) -> None:
    """A request that names none is asked about as the one that it becomes."""
    policy = CERTIFIED.replace(ROUTE, ROUTE + "  versions: {'1': 100}\n").replace(CASCADE, "")
    async with edge(tmp_path, policy=policy) as process:
        found = await inspect(process)
        named = await inspect(process, version="1")

    assert (found.version, found.key) == ("1", named.key)


async def test_headers_that_go_on_are_part_of_the_key(tmp_path: Path) -> None:
    """Others are not, however they are written."""
    text = EDGE + "upstreams: {forward_headers: [x-style]}\n"
    async with edge(tmp_path, text) as process:
        await ask(process, headers=(("x-style", "red"),))
        red = await inspect(process, headers={"X-Style": "red", "x-other": "1"})
        blue = await inspect(process, headers={"x-style": "blue"})

    assert (red.levels[0].state, blue.levels[0].state) == ("fresh", "absent")


@pytest.mark.parametrize(
    ("fields", "fault", "message"),
    [
        ({"model": "digit"}, Fault.NOT_FOUND, "digit"),
        ({"model": ""}, Fault.INVALID, '{"key": HEX}'),
        ({"request": msgspec.Raw(b" null")}, Fault.INVALID, '{"inputs": [...]}'),
        ({"request": msgspec.Raw(b"{}")}, Fault.INVALID, "inputs"),
        ({"request": msgspec.Raw(b"[" * 5000)}, Fault.INVALID, ""),
        ({"tenant": "exil"}, Fault.NOT_FOUND, "did you mean 'exile'?"),
    ],
)
async def test_what_names_nothing_is_refused(tmp_path: Path, fields: Any, fault: Fault, message: str) -> None:
    """With what to write instead."""
    async with edge(tmp_path) as process:
        with pytest.raises(GatewayError) as refused:
            await inspect(process, **fields)

    assert refused.value.fault is fault
    assert message in refused.value.message


async def test_nobody_is_a_tenant_only_where_the_policy_says_so(tmp_path: Path) -> None:
    """Else a tenant has to be named."""
    policy = CERTIFIED.replace("  anonymous: {residency: anywhere}\n", "")
    async with edge(tmp_path, policy=policy) as process:
        with pytest.raises(GatewayError, match="unknown tenant 'anonymous'"):
            await inspect(process)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"residency": "euu"}, "unknown residency 'euu'"),
        ({"client_address": "81.2.69"}, "'81.2.69' is no IP address"),
    ],
)
async def test_what_cannot_be_a_client_has_no_key(
    tmp_path: Path, fields: dict[str, str], message: str
) -> None:
    """A key of a class that does not exist would say that nothing is held."""
    async with edge(tmp_path) as process:
        with pytest.raises(GatewayError, match=message):
            await inspect(process, **fields)
