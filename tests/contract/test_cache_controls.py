"""What clients say to the cache and what it says to them is one thing over HTTP and over gRPC.

Real listeners, a real edge model, tritonclient: a route with every kind of rule.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest

from edge_models.samples import digits
from gateway.wire.proto import messages
from tests.fakes.application import connection
from tests.fakes.http import INFER, post, read_answer
from tests.scenarios.test_walks import infer_body
from tests.scenarios.world import PIXELS, POLICY, World

HIT, MISS, BYPASS = "hit;level=l1", "miss", "bypass"
RULES = 'cache: {{status_headers: true, negative_ttl_s: 5, bypass: [{{headers: {{x-debug: "1"}}}}]}}'


class Outcome(NamedTuple):
    """What an answer says: the status, what the cache did, and whether it tells an age."""

    status: int
    cache: str | None
    has_age: bool


Ask = Callable[..., Awaitable[Outcome]]


@asynccontextmanager
async def over_http(world: World) -> AsyncIterator[Ask]:
    async with connection(world.edge.servers.http.port) as (reader, writer):

        async def ask(image: int, lines: tuple[tuple[str, str], ...] = (), parameter: str = "") -> Outcome:
            body, own = infer_body(image)
            if parameter:
                length = int(own["Inference_Header_Content_Length"])
                said = {**json.loads(body[:length]), "parameters": {"cache_control": parameter}}
                said["parameters"]["binary_data_output"] = True
                text = json.dumps(said).encode()
                own = {"Inference_Header_Content_Length": str(len(text))}
                body = text + body[length:]
            head, rest = post(INFER, body, **own).split(b"\r\n\r\n", 1)
            more = b"".join(b"\r\n%b: %b" % (name.encode(), value.encode()) for name, value in lines)
            writer.write(head + more + b"\r\n\r\n" + rest)
            answer = await read_answer(reader)
            found = answer.headers
            return Outcome(answer.status, found.get("x-edgeway-cache"), "age" in found)

        yield ask
        writer.close()


@asynccontextmanager
async def over_grpc(world: World) -> AsyncIterator[Ask]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{world.edge.servers.grpc.port}") as channel:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")

        async def ask(image: int, lines: tuple[tuple[str, str], ...] = (), parameter: str = "") -> Outcome:
            asked = messages.ModelInferRequest(model_name=digits.MODEL)
            asked.inputs.add(name=digits.INPUT, datatype="FP32", shape=[1, 784])
            asked.raw_input_contents.append(PIXELS[image : image + 1].tobytes())
            if parameter:
                asked.parameters["cache_control"].string_param = parameter
            call = infer(asked.SerializeToString(), metadata=lines)
            try:
                await call
            except grpc.aio.AioRpcError as error:
                return Outcome({grpc.StatusCode.FAILED_PRECONDITION: 504}[error.code()], None, False)
            found = dict(await call.trailing_metadata())
            return Outcome(200, found.get("x-edgeway-cache"), "age" in found)

        yield ask


def control(*values: str) -> tuple[tuple[str, str], ...]:
    return tuple(("cache-control", value) for value in values)


@pytest.mark.parametrize("over", [over_http, over_grpc], ids=["http", "grpc"])
async def test_directives_and_what_is_told(tmp_path: Path, over: Any) -> None:
    text = POLICY.replace("  cascade:", f"  {RULES}\n  cascade:", 1)
    made = World(tmp_path)
    made.write_policy(1, text)
    async with made as world, over(world) as ask:
        seen: list[tuple[str, Outcome]] = []

        async def note(name: str, *args: Any, **more: Any) -> None:
            seen.append((name, await ask(*args, **more)))

        await note("not held", 0, control("only-if-cached"))
        await note("not held, by parameter", 0, parameter="only-if-cached")
        await note("first", 0)
        for number in range(4):
            await note(f"again {number}", 0)
        await note("only if cached", 0, control("only-if-cached"))
        await note("no-cache", 0, control("no-cache"))
        await note("no-cache, by parameter", 0, parameter="no-cache")
        await note("no-store", 1, control("no-store"))
        await note("nothing was kept", 1, control("only-if-cached"))
        await note("two lines", 0, control("max-age=1000", "no-cache"))
        await note("header and parameter", 0, control("max-age=1000"), parameter="no-store")
        await note("too old", 0, control("max-age=0"))
        await note("young", 0, control("max-age=1000"))
        await note("odd", 0, control('no cache, ,=, "', "max-age=-1", "x" * 3000))
        await note("bypass", 0, (("x-debug", "1"),))
        await note("after all", 0)

    found_by = dict(seen)
    assert found_by["not held"] == found_by["not held, by parameter"] == Outcome(504, None, False)
    assert found_by["first"] == Outcome(200, MISS, False)
    assert {found_by[f"again {number}"] for number in range(4)} == {Outcome(200, HIT, True)}
    assert found_by["only if cached"] == found_by["young"] == found_by["odd"] == Outcome(200, HIT, True)
    assert found_by["no-cache"] == found_by["no-cache, by parameter"] == Outcome(200, BYPASS, False)
    assert found_by["no-store"] == found_by["two lines"] == Outcome(200, BYPASS, False)
    assert found_by["nothing was kept"] == Outcome(504, None, False)
    assert found_by["header and parameter"] == found_by["bypass"] == Outcome(200, BYPASS, False)
    assert found_by["too old"] == Outcome(200, MISS, False)
    assert found_by["after all"] == Outcome(200, HIT, True)


@pytest.mark.parametrize("over", [over_http, over_grpc], ids=["http", "grpc"])
async def test_a_route_may_ignore_directives_and_say_nothing(tmp_path: Path, over: Any) -> None:
    text = POLICY.replace("  cascade:", "  cache: {{ignore_request_cache_control: true}}\n  cascade:", 1)
    made = World(tmp_path)
    made.write_policy(1, text)
    async with made as world, over(world) as ask:
        answers = [await ask(0, control("no-cache, no-store, only-if-cached")) for _ in range(4)]
        hits = world.metric('edgeway_cache_lookups_total{level="l1",outcome="hit"}')

    assert answers == [Outcome(200, None, False)] * 4
    assert hits == 3
