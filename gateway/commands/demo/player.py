"""One region's clients: a process that plays real images through the unmodified tritonclient.

Run by ``edgeway demo`` as ``python -m gateway.commands.demo.player SPEC.json``. It prints the number of
requests played so far, a line each time, and writes one row per attempt to the file that the spec names.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import tritonclient.grpc.aio as triton_grpc
import tritonclient.http.aio as triton_http
from tritonclient.utils import InferenceServerException

from edge_models.samples.digits import as_input, load_split
from gateway.commands.demo.zipf import zipf_order
from gateway.core.tensor import Array

MODEL: Final = "digits"
TIMEOUT_S: Final = 5.0
PROBE_S: Final = 0.25
"""How often a client checks whether a gateway that failed is ready again."""

_PARAMETERS: Final = {"edgeway_provenance": True}


class ListedGateway(msgspec.Struct, frozen=True):
    """One gateway in a client's list."""

    region: str
    http: str
    grpc: str


class PlayerSpec(msgspec.Struct, frozen=True):
    """What one player does: ``rate`` in requests per second; ``targets`` in the order of its list."""

    region: str
    targets: list[ListedGateway]
    addresses: list[str]
    requests: int
    rate: float
    concurrency: int
    seed: int
    out: str


class Row(msgspec.Struct, frozen=True, array_like=True):
    """One attempt. Times are of the machine's monotonic clock, the same in every process."""

    player: str
    began: float
    ended: float
    image: int
    predicted: int
    served_by: str
    provenance: str
    certified: bool
    protocol: str
    attempt: int
    error: str


class Clients:
    """The client list of one region: the nearest gateway first, the next one while it is away."""

    def __init__(self, targets: list[ListedGateway]) -> None:
        self._targets = targets
        self._http = [
            triton_http.InferenceServerClient(target.http, conn_timeout=TIMEOUT_S) for target in targets
        ]
        self._grpc = [triton_grpc.InferenceServerClient(target.grpc) for target in targets]
        self._away: set[int] = set()

    def choose(self) -> int:
        """Return the first gateway that is not away, or the first of all."""
        return next((index for index in range(len(self._targets)) if index not in self._away), 0)

    def failed(self, index: int) -> None:
        """Stay away from this gateway until it says that it is ready."""
        self._away.add(index)

    async def watch(self) -> None:
        """Go back to gateways that are ready again; runs until cancelled."""
        while True:
            await asyncio.sleep(PROBE_S)
            for index in list(self._away):
                # Over both: after a refused connection gRPC waits a second before it tries again.
                try:
                    ready = [await each[index].is_server_ready() for each in (self._http, self._grpc)]
                    if all(ready):
                        self._away.discard(index)
                except (OSError, InferenceServerException):
                    continue

    async def infer(
        self, index: int, protocol: str, image: Array, address: str
    ) -> tuple[Array, dict[str, Any]]:
        """Send one request; return the probabilities [10] and the response's parameters."""
        module, client = (triton_http, self._http) if protocol == "http" else (triton_grpc, self._grpc)
        tensor = module.InferInput("image", list(image.shape), "FP32")
        tensor.set_data_from_numpy(image)
        timeout = {} if protocol == "http" else {"client_timeout": TIMEOUT_S}
        result = await client[index].infer(
            MODEL, [tensor], headers={"x-forwarded-for": address}, parameters=_PARAMETERS, **timeout
        )
        answer = result.get_response()
        if protocol == "http":
            facts = answer["parameters"]
        else:
            facts = {
                key: getattr(value, value.WhichOneof("parameter_choice"))
                for key, value in answer.parameters.items()
            }
        return result.as_numpy("probabilities")[0], facts

    async def aclose(self) -> None:
        """Close all connections."""
        for client in (*self._http, *self._grpc):
            await client.close()


async def play(spec: PlayerSpec) -> list[Row]:
    """Play the spec's requests, ``concurrency`` at a time, no faster than ``rate``."""
    images, _ = load_split("test")
    inputs = as_input(images)
    order = zipf_order(len(images), spec.requests, spec.seed)
    clients, rows, began = Clients(spec.targets), [], time.monotonic()
    numbers = iter(range(spec.requests))

    async def worker(protocol: str) -> None:
        for number in numbers:
            await asyncio.sleep(max(0.0, began + number / spec.rate - time.monotonic()))
            image = int(order[number])
            address = spec.addresses[image % len(spec.addresses)]
            rows.extend(await _ask(spec, clients, (image, inputs[image : image + 1]), (protocol, address)))
            if number % 25 == 0:
                print(number, flush=True)

    watch = asyncio.create_task(clients.watch())
    try:
        async with asyncio.TaskGroup() as group:
            for index in range(spec.concurrency):
                group.create_task(worker("http" if index % 2 else "grpc"))
    finally:
        watch.cancel()
        await clients.aclose()
    return rows


async def _ask(
    spec: PlayerSpec, clients: Clients, picture: tuple[int, Array], how: tuple[str, str]
) -> list[Row]:
    """Try the gateways of the list until one answers; every attempt is a row."""
    (image, pixels), (protocol, address) = picture, how
    rows: list[Row] = []
    for attempt in range(len(spec.targets)):
        index = clients.choose()
        began = time.monotonic()
        predicted, error = -1, ""
        facts: dict[str, Any] = {}
        try:
            probabilities, facts = await clients.infer(index, protocol, pixels, address)
            predicted = int(np.argmax(probabilities))
        except Exception as caught:  # noqa: BLE001 - whatever a client may see is a row of the result
            error = f"{type(caught).__name__}: {caught}"[:200] or type(caught).__name__
            clients.failed(index)
        rows.append(
            Row(
                player=spec.region,
                began=began,
                ended=time.monotonic(),
                image=image,
                predicted=predicted,
                served_by=str(facts.get("edgeway_served_by", spec.targets[index].region)),
                provenance=str(facts.get("edgeway_provenance", "")),
                certified=bool(facts.get("edgeway_certified", False)),
                protocol=protocol,
                attempt=attempt,
                error=error,
            )
        )
        if not error:
            break
    return rows


def main() -> None:
    """Read the spec named on the command line, play, write the rows."""
    spec = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=PlayerSpec)
    rows = asyncio.run(play(spec))
    Path(spec.out).write_bytes(msgspec.msgpack.encode(rows))
    print(spec.requests, flush=True)


if __name__ == "__main__":
    main()
