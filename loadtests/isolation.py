"""What time tells one tenant of what another has asked: hit or miss as an oracle.

    python -m loadtests.isolation [--probes 1000] [--seed 7]

A victim asks for half of the candidates, which nobody has asked for before; then a prober asks for all of
them, in random order. AUC is how well the prober's times tell the halves apart: 0.5 is silence, 1.0 an open
book. Twice 1,000 probes for each of JSON, binary and gRPC; with answers kept per tenant, and with them
shared, which shows that the probe can tell at all. Takes two minutes. The exit code is 1 where time tells
what it must not, or a probe cannot tell what it should.
"""

from __future__ import annotations

import argparse
import http.client
import json
import sys
import tempfile
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Final

import grpc
import numpy as np
from rich.console import Console
from rich.table import Table

from edge_models.samples import digits
from gateway.core.request import Request
from gateway.core.tensor import Array, Tensor
from gateway.wire.oip import json as oip_json
from gateway.wire.oip import proto as oip_proto
from loadtests.bench import world
from loadtests.bench.rounds import cores
from loadtests.bench.servers import ask, edgeway, free_port, server

ISOLATED: Final = (0.45, 0.55)
SHARED_AT_LEAST: Final = 0.95
KINDS: Final = ("JSON", "binary", "gRPC")
ROUND: Final = 100
"""Candidates of each half in a round: what changes on the machine meanwhile changes both."""

_KEYS: Final = {name: f"the-key-of-{name}-which-is-long" for name in ("victim", "prober")}
Probe = Callable[[str, Array], float]
"""Asks for a picture in a tenant's name and returns the seconds until the answer is there."""


def auc(hits: Sequence[float], misses: Sequence[float]) -> float:
    """Return how likely a miss takes longer than a hit; ties count half."""
    ordered = sorted(misses)
    total = sum(2 * len(ordered) - bisect_left(ordered, hit) - bisect_right(ordered, hit) for hit in hits)
    return total / (2 * len(hits) * len(ordered))


def verdict(scope: str, value: float) -> bool:
    """Whether ``value`` is as it must be where answers are kept for ``scope``."""
    low, high = ISOLATED
    return low <= value <= high if scope == "tenant" else value > SHARED_AT_LEAST


def candidates(chance: Random, count: int) -> Iterator[Array]:
    """Yield pictures, none of them twice."""
    images, _ = digits.load_split("test")
    first = digits.as_input(images[:1]).astype(np.float32)
    for _ in range(count):
        picture = first.copy()
        picture.ravel()[:4] += np.float32(1e-3) * np.array([chance.random() for _ in range(4)], np.float32)
        yield picture


def measure(probe: Probe, probes: int, chance: Random) -> float:
    """Return the AUC of ``probes`` of each half."""
    seen: list[float] = []
    unseen: list[float] = []
    for picture in candidates(chance, ROUND):
        probe("prober", picture)
    while len(seen) < probes:
        size = min(ROUND, probes - len(seen))
        asked = list(candidates(chance, 2 * size))
        for picture in asked[:size]:
            probe("victim", picture)
        order = list(range(2 * size))
        chance.shuffle(order)
        for place in order:
            (seen if place < size else unseen).append(probe("prober", asked[place]))
    return auc(seen, unseen)


@contextmanager
def prober(kind: str, http_port: int, grpc_port: int) -> Iterator[Probe]:
    """Hand out what asks in one encoding, each tenant on a connection of its own."""
    with ExitStack() as opened:
        if kind == "gRPC":
            calls = {
                name: opened.enter_context(grpc.insecure_channel(f"{world.ADDRESS}:{grpc_port}", _own(name)))
                for name in _KEYS
            }
            yield lambda tenant, picture: _grpc(calls[tenant], tenant, picture)
            return
        connections = {name: http.client.HTTPConnection(world.ADDRESS, http_port) for name in _KEYS}
        for connection in connections.values():
            opened.callback(connection.close)
        yield lambda tenant, picture: _http(connections[tenant], tenant, picture, is_json=kind == "JSON")


def _own(name: str) -> list[tuple[str, object]]:
    """Keep channels to one address apart."""
    return [("grpc.primary_user_agent", name), ("grpc.use_local_subchannel_pool", 1)]


def _http(connection: http.client.HTTPConnection, tenant: str, picture: Array, *, is_json: bool) -> float:
    body, headers = _json(picture) if is_json else _binary(picture)
    headers["Authorization"] = f"Bearer {_KEYS[tenant]}"
    began = time.perf_counter()
    connection.request("POST", world.PATH, body, headers)
    answer = connection.getresponse()
    answer.read()
    took = time.perf_counter() - began
    if answer.status != 200:
        raise RuntimeError(f"answered {answer.status}")
    return took


def _grpc(channel: grpc.Channel, tenant: str, picture: Array) -> float:
    message = bytes(oip_proto.encode_request(_request(picture)).SerializeToString())
    began = time.perf_counter()
    channel.unary_unary(world.METHOD)(
        message, metadata=(("authorization", f"Bearer {_KEYS[tenant]}"),), timeout=30
    )
    return time.perf_counter() - began


def _request(picture: Array) -> Request:
    return Request(digits.MODEL, (Tensor.from_numpy(digits.INPUT, picture),))


def _binary(picture: Array) -> tuple[bytes, dict[str, str]]:
    body = oip_json.encode_request(_request(picture))
    return body.join(), {"Inference-Header-Content-Length": str(body.header_length)}


def _json(picture: Array) -> tuple[bytes, dict[str, str]]:
    entry = {"name": digits.INPUT, "shape": list(picture.shape), "datatype": "FP32"}
    entry["data"] = picture.ravel().tolist()
    return json.dumps({"inputs": [entry]}).encode(), {"Content-Type": "application/json"}


@contextmanager
def gateway(folder: Path, scope: str) -> Iterator[tuple[int, int]]:
    """Run an edge that keeps answers of a central tier for ``scope``; hand out its ports."""
    http_port, grpc_port, central_port = free_port(), free_port(), free_port()
    file = world.write_settings(folder, http_port=http_port, grpc_port=grpc_port)
    settings = json.loads(file.read_text())
    settings["cache"]["scope"] = scope
    file.write_text(json.dumps(settings))
    policy_file = folder / settings["policy"]
    policy = json.loads(policy_file.read_text())
    [residency] = policy["residency"]
    policy["tenants"] |= {
        name: {"residency": residency, "keys_sha256": [sha256(key.encode()).hexdigest()]}
        for name, key in _KEYS.items()
    }
    # What is computed is computed elsewhere, as costly answers are: the difference is there to be felt.
    policy["endpoints"]["central"]["address"] = f"{world.ADDRESS}:{central_port}"
    del policy["routes"][0]["cascade"]
    policy_file.write_text(json.dumps(policy))
    central = _central(folder, central_port)
    with server(edgeway(central, central_port, cores()[-1:])), server(edgeway(file, http_port)):
        body, headers = world.wire_request()
        ask(http_port, body, headers | {"Authorization": f"Bearer {_KEYS['prober']}"})
        yield http_port, grpc_port


def _central(folder: Path, port: int) -> Path:
    file = folder / "central.yaml"
    settings = {
        "role": "central",
        "region": "here",
        "listen": {"http": f"{world.ADDRESS}:{port}", "grpc": None, "admin": None},
        "models": {"repository": str(digits.CENTRAL_REPOSITORY)},
        "resilience": {"drain": {"drain_time_s": 0}},
    }
    file.write_text(json.dumps(settings))
    return file


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--probes", type=int, default=1000, help="of each half")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args(arguments)
    chance = Random(options.seed)  # noqa: S311 - the same pictures in each run, not secrets
    table = Table("answers are kept for", *KINDS)
    is_good = True
    for scope in ("tenant", "residency"):
        values = []
        with tempfile.TemporaryDirectory() as folder, gateway(Path(folder), scope) as ports:
            for kind in KINDS:
                with prober(kind, *ports) as probe:
                    values.append(measure(probe, options.probes, chance))
        is_good = is_good and all(verdict(scope, value) for value in values)
        table.add_row(scope, *(f"{value:.3f}" for value in values))
    Console().print(table)
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
