"""Inputs that an online store fills: an edge before a central tier, with a real Redis or HTTP store behind it."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import onnx
import pytest
import redis as redis_py
import tritonclient.grpc.aio as triton_grpc
import tritonclient.http.aio as triton_http
from aiohttp import web

from gateway.app.gateway import Gateway
from gateway.app.process import GatewayProcess
from gateway.config.settings import load_settings
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Caller, Request, Response
from gateway.core.tensor import Tensor
from tests.fakes.redis_server import RedisServer, free_port

SIZE = 4
POLICY = """\
generation: 1
regions: {{here: {{}}, there: {{}}}}
residency:
  anywhere: {{regions: ["*"]}}
  only-here: {{regions: [here]}}
tenants:
  anonymous: {{residency: anywhere}}
  acme: {{residency: anywhere}}
  local: {{residency: only-here}}
endpoints:
  central: {{tier: central, region: here, protocol: grpc, address: '127.0.0.1:{port}'}}
routes:
- name: shop
  match: {{model: shop}}
  digest: '{digest}'
  {route}
  endpoints: [central]
"""
EDGE = """\
role: edge
region: here
listen: {{http: '127.0.0.1:{http}', grpc: '127.0.0.1:{grpc}', admin: '127.0.0.1:{admin}'}}
policy: policy.yaml
models: {{repository: edge}}
cache: {{memory: {{max_bytes: 16777216}}}}
trusted_proxies: [127.0.0.0/8]
trusted_gateways: [127.0.0.0/8]
features:
  stores:
    users: {store}
resilience: {{drain: {{drain_time_s: 0, drain_timeout_s: 5}}}}
"""
CENTRAL = """\
role: central
region: here
listen: {{http: null, grpc: '127.0.0.1:{port}', admin: null}}
trusted_gateways: [127.0.0.0/8]
models: {{repository: central}}
resilience: {{drain: {{drain_time_s: 0, drain_timeout_s: 5}}}}
"""
GRAPH = """
<ir_version: 9, opset_import: ["": 17]>
shop (float[n, 2] x, float[n, 4] user) => (float[n, 1] score) {
  axes = Constant <value_ints = [1]> ()
  a = ReduceSum (x, axes)
  b = ReduceSum (user, axes)
  score = Add (a, b)
}
"""
ENTRY = {"from": "users", "key": "user_id", "input": "user", "default": [0.25] * SIZE}


def vector(value: float) -> bytes:
    return struct.pack("<4f", *[value] * SIZE)


class Shop:
    """An edge whose model ``shop`` adds up ``x`` and the four numbers of each user."""

    def __init__(self, edge: Gateway, ports: Mapping[str, int]) -> None:
        self.edge, self.ports = edge, ports

    async def ask(self, *users: str, x: float = 0.0, **changes: Any) -> Response:
        ids = np.array([each.encode() for each in users], np.object_).reshape(-1, 1)
        inputs = (
            Tensor.from_numpy("x", np.full((len(users), 2), x, np.float32)),
            Tensor.from_numpy("user_id", ids),
        )
        request = Request(**{"model": "shop", "inputs": inputs, "caller": Caller(), **changes})
        return await self.edge.generation()(request)

    async def scores(self, *users: str, **changes: Any) -> list[float]:
        response = await self.ask(*users, **changes)
        return [float(each) for each in response.outputs[0].numpy().ravel()]

    def metric(self, name: str, **labels: str) -> float:
        """The value of one series of the edge; 0 when there is none yet."""
        inside = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
        for line in self.edge.prometheus.render().decode().splitlines():
            if line.startswith(f"edgeway_{name}{{{inside}}} "):
                return float(line.rpartition(" ")[2])
        return 0.0

    def trips(self, outcome: str = "ok") -> float:
        return self.metric("feature_round_trips_total", store="users", outcome=outcome)


def prepare(
    folder: Path,
    store: Mapping[str, Any],
    *,
    entry: Mapping[str, Any] = ENTRY,
    route: str = "",
    is_central_only: bool = False,
) -> dict[str, int]:
    """Write the files of both gateways; return the edge's ports."""
    model = onnx.parser.parse_model(GRAPH)
    port = free_port()
    for name in ("edge", "central"):
        if name == "central" or not is_central_only:
            (folder / name / "shop" / "1").mkdir(parents=True)
            onnx.save(model, folder / name / "shop" / "1" / "model.onnx")
    (folder / "edge" / "shop").mkdir(parents=True, exist_ok=True)
    (folder / "edge" / "shop" / "enrich.json").write_text(json.dumps({"enrich": [entry]}))
    digest = sha256((folder / "central" / "shop" / "1" / "model.onnx").read_bytes()).hexdigest()
    policy = POLICY.format(port=port, digest=f"sha256:{digest}", route=route or "timeout_ms: 5000")
    (folder / "policy.yaml").write_text(policy)
    # Generous: a busy machine must not look like a slow store here.
    whole = {"timeout_ms": 500, "key_prefix": "none", **store}
    ports = {name: free_port() for name in ("http", "grpc", "admin")}
    (folder / "edge.yaml").write_text(EDGE.format(store=json.dumps(whole), **ports))
    (folder / "central.yaml").write_text(CENTRAL.format(port=port))
    return ports


@asynccontextmanager
async def shop(folder: Path, store: Mapping[str, Any], **changes: Any) -> AsyncIterator[Shop]:
    ports = prepare(folder, store, **changes)
    async with AsyncExitStack() as lifetime:
        _, edge = [
            await lifetime.enter_async_context(
                GatewayProcess(load_settings(folder / f"{name}.yaml", {})).serving()
            )
            for name in ("central", "edge")
        ]
        yield Shop(edge, ports)


@pytest.fixture
def server() -> Any:
    with RedisServer() as server:
        client = redis_py.Redis(port=server.port)
        for number in range(1, 9):
            client.set(f"u:{number}", vector(number))
        server.client = client
        yield server


def redis_store(server: Any, **changes: Any) -> dict[str, Any]:
    return {"redis": server.url, "prefix": "u:", **changes}


async def test_vectors_are_filled_and_central_gets_them(tmp_path: Path, server: Any) -> None:
    """Three entities are one round trip, and the next requests for them none."""
    async with shop(tmp_path, redis_store(server)) as world:
        assert await world.scores("1", "2", "1", x=1) == [6, 10, 6]
        assert world.trips() == 1
        assert await world.scores("2", "1", x=2) == [12, 8]

        assert world.trips() == 1
        assert world.metric("feature_entities_total", store="users", outcome="hit") == 2


async def test_what_is_missed_at_the_same_time_is_one_round_trip(tmp_path: Path, server: Any) -> None:
    """Sixteen requests of one turn for eight entities: one pipeline, each entity in it once."""
    async with shop(tmp_path, redis_store(server)) as world:
        asked = [world.scores(str(1 + each % 8), x=each) for each in range(16)]
        found = await asyncio.gather(*asked)

        assert found == [[2 * each + 4 * (1 + each % 8)] for each in range(16)]
        assert world.trips() == 1
        assert world.metric("feature_fetched_total", store="users", outcome="found") == 8
        assert world.metric("feature_entities_total", store="users", outcome="joined") == 8


async def test_an_answer_is_kept_for_the_vectors_that_it_was_computed_from(
    tmp_path: Path, server: Any
) -> None:
    """With another vector the same request is another key: no answer outlives a feature."""
    async with shop(tmp_path, redis_store(server, ttl_s=0.001)) as world:
        assert await world.scores("1") == [4]
        assert (await world.ask("1")).provenance.level == "l1"

        server.client.set("u:1", vector(10))
        await asyncio.sleep(0.005)

        changed = await world.ask("1")
        assert changed.outputs[0].numpy().ravel().tolist() == [40]
        assert changed.provenance.level == ""


@pytest.mark.parametrize("is_stopped", [False, True])
async def test_a_store_that_is_down_gives_the_default_for_a_moment(
    tmp_path: Path, server: Any, is_stopped: bool
) -> None:
    """The answer says so; what was not known is filled with the default, and its answer has a short life."""
    async with shop(tmp_path, redis_store(server, timeout_ms=40)) as world:
        if is_stopped:
            server.pause()
        else:
            server.kill()

        answered = await world.ask("1")

        assert answered.outputs[0].numpy().ravel().tolist() == [1]
        assert answered.provenance.features == "default"
        again = await world.ask("1")
        assert (again.provenance.level, again.provenance.features) == ("l1", "default")
        assert world.metric("feature_lacking_total", store="users", how="default") == 2
        if is_stopped:
            server.resume()


async def test_a_route_may_refuse_while_the_store_is_down(tmp_path: Path, server: Any) -> None:
    """``on_features_down: refuse``: 503, and clients may try again."""
    async with shop(tmp_path, redis_store(server), route="on_features_down: refuse") as world:
        server.kill()

        with pytest.raises(GatewayError, match="store 'users'") as caught:
            await world.ask("1")

    assert caught.value.fault is Fault.UNAVAILABLE
    assert caught.value.retryable


async def test_entities_that_are_not_there(tmp_path: Path, server: Any) -> None:
    """Absent entities get the default, which is no outage, and are remembered to be absent."""
    async with shop(tmp_path, redis_store(server)) as world:
        answered = await world.ask("nobody", "1")
        await world.ask("nobody", x=1)

        assert answered.outputs[0].numpy().ravel().tolist() == [1, 4]
        assert answered.provenance.features == ""
        assert world.trips() == 1
        assert world.metric("feature_entities_total", store="users", outcome="negative") == 1


async def test_without_a_default_an_absent_entity_is_the_callers(tmp_path: Path, server: Any) -> None:
    entry = {**ENTRY, "default": "refuse", "size": SIZE}
    async with shop(tmp_path, redis_store(server), entry=entry) as world:
        with pytest.raises(GatewayError, match="element 1 of input 'user_id' names no entity") as caught:
            await world.ask("1", "nobody")

    assert caught.value.fault is Fault.INVALID


async def test_entities_that_are_known_to_be_absent_never_reach_the_store(
    tmp_path: Path, server: Any
) -> None:
    """With the ids listed, thousands of absent ids cost next to nothing, and each that is there is found."""
    async with shop(tmp_path, redis_store(server, known_ids={})) as world:
        while not world.metric("feature_known_ids", store="users"):
            await asyncio.sleep(0.01)

        for begin in range(0, 2000, 50):
            names = [f"nobody-{number}" for number in range(begin, begin + 50)]
            assert set(await world.scores(*names)) == {1}
        assert await world.scores(*map(str, range(1, 9))) == [4 * number for number in range(1, 9)]

        skipped = world.metric("feature_entities_total", store="users", outcome="bloom_skipped")
        passed = world.metric("feature_fetched_total", store="users", outcome="absent")
        assert skipped + passed == 2000
        assert passed <= 40


async def test_tenants_have_entities_of_their_own(tmp_path: Path, server: Any) -> None:
    """By default an id is the tenant's: nobody can name another's, however the id is written."""
    server.client.set("u:acme:1", vector(5))
    async with shop(tmp_path, redis_store(server, key_prefix="tenant")) as world:
        assert await world.scores("1", caller=Caller(tenant="acme", vouched=True)) == [20]
        assert await world.scores("1") == [1]
        assert await world.scores("acme:1") == [1]


async def test_a_store_elsewhere_gets_no_ids_of_who_must_stay_here(tmp_path: Path, server: Any) -> None:
    """A request that may be seen here only gets the default; another one its vector."""
    async with shop(tmp_path, redis_store(server, region="there")) as world:
        stays = await world.ask("1", caller=Caller(tenant="local", vouched=True))
        assert stays.provenance.features == "default"
        assert world.trips() == 0

        assert await world.scores("1") == [4]
        # Now it is in memory here, and still not this tenant's to be seen there.
        assert (await world.ask("1", caller=Caller(tenant="local", vouched=True))).provenance.features


async def test_a_model_that_only_central_has(tmp_path: Path, server: Any) -> None:
    """The folder holds ``enrich.json`` alone: this process loads nothing, and fills the input."""
    async with shop(tmp_path, redis_store(server), is_central_only=True) as world:
        assert await world.scores("3") == [12]


async def test_clients_see_the_key_and_not_the_vectors(tmp_path: Path, server: Any) -> None:
    """Metadata and configuration over HTTP and gRPC, and answers out of memory over both."""
    async with shop(tmp_path, redis_store(server)) as world:
        http = triton_http.InferenceServerClient(f"127.0.0.1:{world.ports['http']}")
        grpc = triton_grpc.InferenceServerClient(f"127.0.0.1:{world.ports['grpc']}")
        async with http, grpc:
            metadata = await http.get_model_metadata("shop")
            shown = [(each["name"], each["datatype"]) for each in metadata["inputs"]]
            assert shown == [("x", "FP32"), ("user_id", "BYTES")]
            over_grpc = await grpc.get_model_metadata("shop")
            assert [each.name for each in over_grpc.inputs] == ["x", "user_id"]
            config = await http.get_model_config("shop")
            assert [each["name"] for each in config["input"]] == ["x", "user_id"]

            for triton, client in ((triton_http, http), (triton_grpc, grpc)):
                inputs = [
                    triton.InferInput("x", [1, 2], "FP32"),
                    triton.InferInput("user_id", [1, 1], "BYTES"),
                ]
                inputs[0].set_data_from_numpy(np.zeros((1, 2), np.float32))
                inputs[1].set_data_from_numpy(np.array([[b"2"]], np.object_))
                for _ in range(5):
                    answered = await client.infer("shop", inputs)
                    assert answered.as_numpy("score").tolist() == [[8]]
        assert world.trips() == 1
        assert world.metric("feature_entities_total", store="users", outcome="hit") == 9


async def test_an_operator_finds_the_answer_of_such_a_request(tmp_path: Path, server: Any) -> None:
    """`edgeway cache inspect` makes the key with the vectors of now, as a request would."""
    async with shop(tmp_path, redis_store(server)) as world:
        await world.ask("1")
        body = {
            "inputs": [
                {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [0, 0]},
                {"name": "user_id", "datatype": "BYTES", "shape": [1, 1], "data": ["1"]},
            ]
        }
        question = {"model": "shop", "tenant": "anonymous", "request": body}
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{world.ports['admin']}/cache/inspect"
            async with session.post(url, json=question) as answered:
                found = await answered.json()

        assert [(each["level"], each["state"]) for each in found["levels"]] == [("l1", "fresh")]


async def test_the_answer_says_what_vectors_lacked(tmp_path: Path, server: Any) -> None:
    """In a response header, in a trailer, and among the parameters of who wants them there."""
    async with shop(tmp_path, redis_store(server, timeout_ms=50)) as world:
        server.kill()
        body = {
            "inputs": [
                {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [0, 0]},
                {"name": "user_id", "datatype": "BYTES", "shape": [1, 1], "data": ["1"]},
            ],
            "parameters": {"edgeway_provenance": True},
        }
        async with aiohttp.ClientSession() as session:
            for _ in range(3):
                url = f"http://127.0.0.1:{world.ports['http']}/v2/models/shop/infer"
                async with session.post(url, json=body) as answered:
                    assert answered.headers["x-edgeway-features"] == "default"
                    parameters = (await answered.json())["parameters"]
                    assert parameters["edgeway_features"] == "default"
            grpc = triton_grpc.InferenceServerClient(f"127.0.0.1:{world.ports['grpc']}")
            inputs = [
                triton_grpc.InferInput("x", [1, 2], "FP32"),
                triton_grpc.InferInput("user_id", [1, 1], "BYTES"),
            ]
            inputs[0].set_data_from_numpy(np.zeros((1, 2), np.float32))
            inputs[1].set_data_from_numpy(np.array([[b"1"]], np.object_))
            async with grpc:
                found = await grpc.infer("shop", inputs, parameters={"edgeway_provenance": True})
            assert found.get_response().parameters["edgeway_features"].string_param == "default"

            body["inputs"][1]["data"] = ["\ud800"]
            async with session.post(url, json=body) as answered:
                assert answered.status == 400


async def test_malformed_ids_are_the_callers_mistake(tmp_path: Path, server: Any) -> None:
    """Empty, long, not UTF-8, too many, another datatype, missing, or the filled input itself: 400 or 413."""
    async with shop(tmp_path, redis_store(server)) as world:
        x = Tensor.from_numpy("x", np.zeros((1, 2), np.float32))

        async def refusal(*inputs: Tensor) -> GatewayError:
            with pytest.raises(GatewayError) as caught:
                await world.edge.generation()(Request("shop", (x, *inputs)))
            return caught.value

        def key(*ids: bytes) -> Tensor:
            return Tensor.from_numpy("user_id", np.array(ids, np.object_).reshape(-1, 1))

        for wrong in (b"", b"x" * (1 << 20), "\ud800".encode("utf-8", "surrogatepass")):
            assert (await refusal(key(wrong))).fault is Fault.INVALID
        assert (await refusal(key(*[b"%d" % number for number in range(65_536)]))).fault is Fault.TOO_LARGE
        assert "as BYTES" in (await refusal(Tensor.from_numpy("user_id", np.array([[1]])))).message
        assert "missing required input 'user_id'" in (await refusal()).message
        given = Tensor.from_numpy("user", np.zeros((1, 4), np.float32))
        assert "unexpected inference input 'user'" in (await refusal(key(b"1"), given)).message
        assert world.trips() == 0


@pytest.mark.parametrize(
    "value",
    [vector(1)[:-1], vector(1)[:-4], vector(float("nan")), b"x" * 70_000, struct.pack("<5f", *[1.0] * 5)],
    ids=["cut", "short", "nan", "huge", "long"],
)
async def test_what_is_no_vector_counts_as_a_failure(tmp_path: Path, server: Any, value: bytes) -> None:
    """Of that entity and no other: the default stands in, and the answer says so."""
    server.client.set("u:bad", value)
    async with shop(tmp_path, redis_store(server)) as world:
        answered = await world.ask("bad", "1")

        assert answered.outputs[0].numpy().ravel().tolist() == [1, 4]
        assert answered.provenance.features == "default"


async def test_a_vector_past_its_time_stands_in_while_the_store_is_down(tmp_path: Path, server: Any) -> None:
    async with shop(tmp_path, redis_store(server, ttl_s=0.001)) as world:
        assert await world.scores("1") == [4]
        server.kill()

        answered = await world.ask("1", x=1)

        assert answered.outputs[0].numpy().ravel().tolist() == [6]
        assert answered.provenance.features == "stale"


class HttpStore:
    """A real HTTP store; ``trips`` counts the requests for vectors."""

    def __init__(self, *, kind: str) -> None:
        self.kind, self.trips, self.status = kind, 0, 200

    def settings(self, port: int) -> dict[str, Any]:
        if self.kind == "feast":
            features = ["stats:first", "stats:rest"]
            whole = {"protocol": "feast", "entity": "user", "entity_type": "int", "features": features}
            return {"http": f"http://127.0.0.1:{port}", **whole}
        return {"http": f"http://127.0.0.1:{port}/vectors", "known_ids": {"path": "/ids"}}

    async def vectors(self, request: web.Request) -> web.Response:
        self.trips += 1
        ids = [int(each) for each in (await request.json())["ids"]]
        if self.kind == "binary":
            data = b"".join(struct.pack("<I", 16) + vector(each) if each < 9 else bytes(4) for each in ids)
            return web.Response(body=data, content_type="application/octet-stream", status=self.status)
        found = [[each] * SIZE if each < 9 else None for each in ids]
        return web.json_response({"vectors": found}, status=self.status)

    async def feast(self, request: web.Request) -> web.Response:
        self.trips += 1
        ids = (await request.json())["entities"]["user"]
        statuses = ["PRESENT" if each < 9 else "NOT_FOUND" for each in ids]
        results = [
            {"values": [each if each < 9 else None for each in ids], "statuses": statuses},
            {"values": [[each] * 3 if each < 9 else None for each in ids], "statuses": statuses},
        ]
        names = {"feature_names": ["first", "rest"]}
        return web.json_response({"metadata": names, "results": results}, status=self.status)

    async def ids(self, _request: web.Request) -> web.Response:
        return web.json_response({"ids": [str(each) for each in range(1, 9)]})


@asynccontextmanager
async def http_store(kind: str) -> AsyncIterator[tuple[HttpStore, dict[str, Any]]]:
    store, application, port = HttpStore(kind=kind), web.Application(), free_port()
    application.router.add_post("/vectors", store.vectors)
    application.router.add_post("/get-online-features", store.feast)
    application.router.add_get("/ids", store.ids)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield store, store.settings(port)
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("kind", ["json", "binary", "feast"])
async def test_a_store_over_http(tmp_path: Path, kind: str) -> None:
    """One POST for all that is missed at once; a failing store gives the default, and says so."""
    async with http_store(kind) as (store, settings), shop(tmp_path, settings) as world:
        found = await asyncio.gather(
            *[world.scores(str(1 + each % 4), str(5 + each % 4)) for each in range(8)]
        )

        assert found[3] == [16, 32]
        assert store.trips == world.trips() == 1
        assert await world.scores("77") == [1]

        store.status = 503
        if kind == "feast":
            assert store.trips == 2
            assert (await world.ask("78")).provenance.features == "default"
            assert world.trips("status_503") == 1


async def test_an_order_to_load_reads_the_declaration_anew(tmp_path: Path, server: Any) -> None:
    """From then on the new default fills; one that cannot be used is refused, and what was served is served on."""
    async with shop(tmp_path, redis_store(server)) as world:
        file = tmp_path / "edge" / "shop" / "enrich.json"
        file.write_text(json.dumps({"enrich": [{**ENTRY, "default": [2.0] * SIZE}]}))
        await world.edge.tier.repository.load("shop", {})
        assert await world.scores("nobody", "1") == [8, 4]
        assert world.trips() == 1

        for wrong in ({"from": "user"}, {"default": [1.0]}, {"input": "usr"}):
            file.write_text(json.dumps({"enrich": [{**ENTRY, **wrong}]}))
            with pytest.raises(GatewayError) as caught:
                await world.edge.tier.repository.load("shop", {})
            assert caught.value.fault is Fault.INVALID
        assert await world.scores("nobody", "1") == [8, 4]
