"""Clients of three continents, for Locust: real images, popularity as the web has it, every answer checked.

``loadtests/README.md`` has the command lines. An answer counts as a failure not only when its status is
wrong but also when it does not hold what was asked for: the tensor's name, shape and size, probabilities
that are ones, and the headers that say who answered.
"""

# mypy: disallow-subclassing-any=False, disallow-untyped-decorators=False
# Locust comes with the extra `bench`; where it is not installed, all that is imported from it is Any.

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from itertools import count, cycle
from typing import Any, Final

import numpy as np
from locust import FastHttpUser, constant_throughput, events, tag, task

from edge_models.samples.digits import INPUT, MODEL, OUTPUT, as_input, load_split
from gateway.commands.demo.zipf import zipf_order
from gateway.core.tensor import Array

IMAGES: Final = as_input(load_split("test")[0])
INFER: Final = f"/v2/models/{MODEL}/infer"
HEADER_LENGTH: Final = "Inference-Header-Content-Length"
CLASSES: Final = 10
BATCH: Final = 8
ORDER_LENGTH: Final = 10_000
"""Requests after which a client begins its order anew."""

DEMO: Final = "eu-west=http://127.0.0.1:8100,us-east=http://127.0.0.1:8200,ap-south=http://127.0.0.1:8300"

Question = tuple[Any, dict[str, str]]
"""Body and headers. The body is bytes, which Locust sends although its types know only text."""

WORKER_USERS: Final = 1_000_000
"""More users than one worker ever has: no two of a run go through the same order."""

_NUMBERS: Final = count(1)


def regions(text: str) -> dict[str, str]:
    """Read ``NAME=URL,NAME=URL,…``; every continent's users need the gateway that is named after theirs."""
    found = dict(part.strip().partition("=")[::2] for part in text.split(","))
    for user in CONTINENTS:
        if not found.get(user.region, "").startswith(("http://", "https://")):
            raise argparse.ArgumentTypeError(f"needs {user.region}=http://HOST:PORT among its parts")
    return found


@events.init_command_line_parser.add_listener
def add_arguments(parser: Any) -> None:
    parser.add_argument(
        "--edgeway-regions",
        type=regions,
        default=DEMO,
        metavar="NAME=URL,…",
        help="the gateway of each region (those of `make demo`); --host sends everybody to one instead",
        include_in_web_ui=False,
    )


@events.init.add_listener
def choose_gateways(environment: Any, **_: Any) -> None:
    for user in CONTINENTS:
        user.host = environment.parsed_options.edgeway_regions[user.region]


def binary_body(rows: Array) -> Question:
    """Return the body and headers that ask about ``rows`` float32 [n, 784], all tensors binary."""
    message = {
        "inputs": [
            {
                "name": INPUT,
                "datatype": "FP32",
                "shape": list(rows.shape),
                "parameters": {"binary_data_size": rows.nbytes},
            }
        ],
        "parameters": {"binary_data_output": True},
    }
    head = json.dumps(message).encode()
    return head + rows.tobytes(), {
        "Content-Type": "application/octet-stream",
        HEADER_LENGTH: str(len(head)),
    }


def json_body(rows: Array) -> Question:
    """Return the same question in JSON alone."""
    tensor = {"name": INPUT, "datatype": "FP32", "shape": list(rows.shape), "data": rows.ravel().tolist()}
    return json.dumps({"inputs": [tensor]}).encode(), {"Content-Type": "application/json"}


def probabilities(content: bytes, header_length: str | None) -> Array:
    """Return what an answer says, float32 [n, 10].

    Raises:
        ValueError: it is not what was asked for; the message says what is wrong with it.
        KeyError: a field is missing.
    """
    length = int(header_length) if header_length else len(content)
    message = json.loads(content[:length])
    (output,) = message["outputs"]
    if (message["model_name"], output["name"], output["datatype"]) != (MODEL, OUTPUT, "FP32"):
        raise ValueError(f"answers with {output['name']} {output['datatype']} of {message['model_name']}")
    if not header_length:
        return np.array(output["data"], np.float32).reshape(output["shape"])
    if output["parameters"]["binary_data_size"] != len(content) - length:
        raise ValueError("the binary section is not as long as the answer says")
    return np.frombuffer(content, np.float32, offset=length).reshape(output["shape"])


def complaint(content: bytes, headers: Any, rows: int) -> str:
    """Return what is wrong with the answer to ``rows`` images; empty when nothing is."""
    if missing := [name for name in ("served-by", "provenance") if f"x-edgeway-{name}" not in headers]:
        return f"no header x-edgeway-{missing[0]}"
    try:
        answer = probabilities(content, headers.get(HEADER_LENGTH))
    except KeyError as error:
        return f"the answer lacks {error}"
    except (ValueError, TypeError) as error:
        return f"the answer cannot be read: {error}"
    if answer.shape != (rows, CLASSES):
        return f"{list(answer.shape)} values for {rows} images"
    if not ((answer >= 0) & (answer <= 1)).all() or (abs(answer.sum(axis=1) - 1) > 1e-3).any():
        return "the probabilities are none"
    return ""


def source(headers: Any) -> str:
    """Say in a word or two where an answer came from: ``l1``, ``edge``, ``central``, ``edge uncertified``."""
    origin, *fields = str(headers.get("x-edgeway-provenance", "nobody")).split(";")
    level = next((field[6:] for field in fields if field.startswith("level=")), origin)
    return level if headers.get("x-edgeway-certified") == "true" else f"{level} uncertified"


class Client(FastHttpUser):
    """One user: 10 requests per second over one connection, most of them for popular images."""

    abstract = True
    wait_time = constant_throughput(10)
    network_timeout = connection_timeout = 10.0
    region = ""
    addresses: tuple[str, ...] = ()

    def on_start(self) -> None:
        number = next(_NUMBERS)
        worker = getattr(self.environment.runner, "worker_index", 0)
        self._order = cycle(zipf_order(len(IMAGES), ORDER_LENGTH, seed=WORKER_USERS * worker + number))
        # Without a seed: what another worker or an earlier run has sent would be in the caches.
        self._chance = np.random.default_rng()
        self._address = {"X-Forwarded-For": self.addresses[number % len(self.addresses)]}

    @tag("popular")
    @task(40)
    def popular(self) -> None:
        """One image in binary, by popularity: what caches are for."""
        self._ask("popular", self._next(), binary_body)

    @tag("json")
    @task(4)
    def popular_json(self) -> None:
        """The same in JSON; it shares its cache entries with the binary form."""
        self._ask("json", self._next(), json_body)

    @tag("fresh", "compute")
    @task(4)
    def fresh(self) -> None:
        """An image that nobody has sent before: the price of a miss, and of deferring."""
        noise = self._chance.normal(0, 0.02, (1, IMAGES.shape[1])).astype(np.float32)
        self._ask("fresh", np.clip(self._next() + noise, 0, 1), binary_body)

    @tag("batch", "compute")
    @task(1)
    def batch(self) -> None:
        """Several images in one request; one uncertain image defers them all."""
        self._ask("batch", IMAGES[self._chance.integers(len(IMAGES), size=BATCH)], binary_body)

    @tag("metadata")
    @task(1)
    def metadata(self) -> None:
        """What a client asks before its first request."""
        with self.client.get(f"/v2/models/{MODEL}", name="metadata", catch_response=True) as answer:
            if answer.status_code == 200 and answer.json()["inputs"][0]["name"] != INPUT:
                answer.failure("other inputs than the model's")

    @tag("malformed")
    @task(1)
    def malformed(self) -> None:
        """A body that ends too soon: a clear 400, and nobody else's answer suffers."""
        body, headers = binary_body(self._next())
        with self.client.post(
            INFER, data=body[:-4], headers=headers | self._address, name="malformed", catch_response=True
        ) as answer:
            if answer.status_code == 400 and "error" in answer.json():
                answer.success()
            else:
                answer.failure(f"{answer.status_code} for a truncated body")

    def _next(self) -> Array:
        picture = next(self._order)
        return IMAGES[picture : picture + 1]

    def _ask(self, name: str, rows: Array, body_of: Callable[[Array], Question]) -> None:
        body, headers = body_of(rows)
        with self.client.post(
            INFER, data=body, headers=headers | self._address, name=name, catch_response=True
        ) as answer:
            if answer.status_code != 200:
                answer.failure(f"{answer.status_code}: {answer.text}" if answer.status_code else answer.error)
                return
            # One line of statistics per source: their latencies have nothing in common.
            answer.request_meta["name"] = f"{name}, {source(answer.headers)}"
            if wrong := complaint(answer.content, answer.headers, len(rows)):
                answer.failure(wrong)


class Europe(Client):
    region = "eu-west"
    addresses = ("81.2.69.142", "89.160.20.112")


class NorthAmerica(Client):
    region = "us-east"
    addresses = ("216.160.83.56",)


class Asia(Client):
    region = "ap-south"
    addresses = ("2001:218::1",)


CONTINENTS: Final[tuple[Any, ...]] = (Europe, NorthAmerica, Asia)
