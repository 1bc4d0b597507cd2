"""Area `generate`: one JSON object in, one or a stream of them out."""

from __future__ import annotations

import json
from typing import Any

from gateway.conformance.call import model_path
from gateway.conformance.check import Area, require
from gateway.conformance.clauses import GENERATE
from gateway.conformance.expect import offered, refused
from gateway.conformance.faults import NO_SUCH_MODEL
from gateway.conformance.http_wire import HttpAnswer, parse_json
from gateway.conformance.peer import Peer
from gateway.conformance.tensors import to_json

AREA = Area("generate")


def _body(peer: Peer) -> dict[str, Any]:
    tensors = peer.model.call(batch=1).tensors
    listed = {tensor.name: to_json(tensor) for tensor in tensors}
    return {name: values[0] if len(values) == 1 else values for name, values in listed.items()}


def _ask(peer: Peer, verb: str, body: Any) -> HttpAnswer:
    return peer.post(model_path(peer.model.name, verb=verb), body)


def _judge(peer: Peer, answer: Any) -> None:
    require(isinstance(answer, dict), "the answer is no JSON object")
    require(answer.get("model_name") == peer.model.name, "'model_name' is not the model's")
    missing = [spec.name for spec in peer.model.outputs if spec.name not in answer]
    require(not missing, f"the outputs {missing} are missing")


def events(answer: HttpAnswer) -> list[str]:
    """Return the data of the server-sent events of an answer."""
    blocks = answer.body.decode(errors="replace").replace("\r\n", "\n").split("\n\n")
    found = []
    for block in blocks:
        lines = [line[5:].removeprefix(" ") for line in block.split("\n") if line.startswith("data:")]
        if lines:
            found.append("\n".join(lines))
    return found


@AREA.check("generate", "inputs by name in, outputs by name out", GENERATE, optional=True)
def generate(peer: Peer) -> None:
    """Next to model_name and model_version."""
    _judge(peer, offered(_ask(peer, "generate", _body(peer))).object())


@AREA.check("id", "the id is returned", GENERATE, optional=True)
def echo(peer: Peer) -> None:
    """As with inference."""
    body = offered(_ask(peer, "generate", {**_body(peer), "id": "g7"})).object()
    require(body.get("id") == "g7", f"'id' is {str(body.get('id'))[:20]!r}")


@AREA.check("stream", "generate_stream answers in server-sent events", GENERATE, optional=True)
def stream(peer: Peer) -> None:
    """Each holds one JSON object."""
    answer = offered(_ask(peer, "generate_stream", _body(peer)))
    told = answer.header("Content-Type").lower()
    require(told.startswith("text/event-stream"), f"Content-Type is {told[:60]!r}")
    listed = events(answer)
    require(listed, "there is no event")
    _judge(peer, parse_json(listed[0].encode()))


@AREA.check("unknown-model", "an unknown model is refused", GENERATE, optional=True)
def unknown_model(peer: Peer) -> None:
    """Where the server has the endpoint at all."""
    with peer.given("generate"):
        offered(_ask(peer, "generate", _body(peer)))
    refused(peer.post(model_path(NO_SUCH_MODEL, verb="generate"), _body(peer)))


@AREA.check("bad-json", "a body that is no JSON is refused", GENERATE, optional=True)
def bad_json(peer: Peer) -> None:
    """Where the server has the endpoint at all."""
    with peer.given("generate"):
        offered(_ask(peer, "generate", _body(peer)))
    refused(_ask(peer, "generate", json.dumps(_body(peer)).encode()[:-1]))


@AREA.check("missing-input", "a missing input is refused", GENERATE, optional=True)
def missing_input(peer: Peer) -> None:
    """Where the server has the endpoint at all."""
    with peer.given("generate"):
        offered(_ask(peer, "generate", _body(peer)))
    refused(_ask(peer, "generate", {}))
