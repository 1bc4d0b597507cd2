"""Area `generate`: one JSON object in, one or a stream of them out."""

from __future__ import annotations

import json
from typing import Any

from gateway.conformance.call import model_path
from gateway.conformance.check import Area
from gateway.conformance.clauses import GENERATE
from gateway.conformance.expect import offered, refused
from gateway.conformance.faults import NO_SUCH_MODEL
from gateway.conformance.http_wire import HttpAnswer, parse_json
from gateway.conformance.server_under_test import ServerUnderTest
from gateway.conformance.tensors import to_json
from gateway.conformance.verdicts import require

AREA = Area("generate")


def _body(tested: ServerUnderTest) -> dict[str, Any]:
    tensors = tested.model.call(batch=1).tensors
    listed = {tensor.name: to_json(tensor) for tensor in tensors}
    return {name: values[0] if len(values) == 1 else values for name, values in listed.items()}


def _ask(tested: ServerUnderTest, verb: str, body: Any) -> HttpAnswer:
    return tested.post(model_path(tested.model.name, verb=verb), body)


def _judge(tested: ServerUnderTest, answer: Any) -> None:
    require(isinstance(answer, dict), "the answer is no JSON object")
    require(answer.get("model_name") == tested.model.name, "'model_name' is not the model's")
    missing = [spec.name for spec in tested.model.outputs if spec.name not in answer]
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
def generate(tested: ServerUnderTest) -> None:
    """The outputs stand beside model_name and model_version."""
    _judge(tested, offered(_ask(tested, "generate", _body(tested))).object())


@AREA.check("id", "the id is returned", GENERATE, optional=True)
def echo(tested: ServerUnderTest) -> None:
    """The id comes back, as with inference."""
    body = offered(_ask(tested, "generate", {**_body(tested), "id": "g7"})).object()
    require(body.get("id") == "g7", f"'id' is {str(body.get('id'))[:20]!r}")


@AREA.check("stream", "generate_stream answers in server-sent events", GENERATE, optional=True)
def stream(tested: ServerUnderTest) -> None:
    """Each holds one JSON object."""
    answer = offered(_ask(tested, "generate_stream", _body(tested)))
    content_type = answer.header("Content-Type").lower()
    require(content_type.startswith("text/event-stream"), f"Content-Type is {content_type[:60]!r}")
    listed = events(answer)
    require(listed, "there is no event")
    _judge(tested, parse_json(listed[0].encode()))


@AREA.check("unknown-model", "an unknown model is refused", GENERATE, optional=True)
def unknown_model(tested: ServerUnderTest) -> None:
    """Where the server has the endpoint at all."""
    with tested.given("generate"):
        offered(_ask(tested, "generate", _body(tested)))
    refused(tested.post(model_path(NO_SUCH_MODEL, verb="generate"), _body(tested)))


@AREA.check("bad-json", "a body that is no JSON is refused", GENERATE, optional=True)
def bad_json(tested: ServerUnderTest) -> None:
    """Where the server has the endpoint at all."""
    with tested.given("generate"):
        offered(_ask(tested, "generate", _body(tested)))
    refused(_ask(tested, "generate", json.dumps(_body(tested)).encode()[:-1]))


@AREA.check("missing-input", "a missing input is refused", GENERATE, optional=True)
def missing_input(tested: ServerUnderTest) -> None:
    """Where the server has the endpoint at all."""
    with tested.given("generate"):
        offered(_ask(tested, "generate", _body(tested)))
    refused(_ask(tested, "generate", {}))
