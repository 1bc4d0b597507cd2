"""Area `infer`: inference with JSON over HTTP."""

from __future__ import annotations

import json

from gateway.conformance.areas.model import newest
from gateway.conformance.call import Wanted
from gateway.conformance.check import Area
from gateway.conformance.clauses import (
    PARAMETERS,
    REST_DATA,
    REST_INPUT,
    REST_OUTPUT,
    REST_REQUEST,
    REST_RESPONSE,
)
from gateway.conformance.expect import ok_object
from gateway.conformance.server_under_test import JSON, ServerUnderTest, reply_of
from gateway.conformance.verdicts import NotApplicable, require

AREA = Area("infer")


@AREA.check("basic", "the answer has the model's name and all outputs", REST_RESPONSE)
def basic(tested: ServerUnderTest) -> None:
    """All outputs are answered when none is named."""
    reply = tested.infer(tested.model.call())
    require(reply.model == tested.model.name, f"'model_name' is {reply.model[:40]!r}")
    wanted = sorted(spec.name for spec in tested.model.outputs)
    require(sorted(reply.by_name) == wanted, f"the outputs are {sorted(reply.by_name)}, not {wanted}")


@AREA.check("as-described", "outputs have the datatypes and shapes of the metadata", REST_RESPONSE)
def as_described(tested: ServerUnderTest) -> None:
    """Names, datatypes and shapes are as in the metadata."""
    given = tested.infer(tested.model.call()).by_name
    for spec in tested.model.outputs:
        require(spec.name in given, f"'{spec.name}' is missing")
        tensor = given[spec.name]
        require(tensor.datatype == spec.datatype, f"'{spec.name}' is {tensor.datatype}, not {spec.datatype}")
        fits = len(tensor.shape) == len(spec.shape) and all(
            want in {-1, size} for want, size in zip(spec.shape, tensor.shape, strict=True)
        )
        require(fits, f"'{spec.name}' is {list(tensor.shape)}, not {list(spec.shape)}")


@AREA.check("version", "model_version is a text, and one of the model's", REST_RESPONSE)
def version(tested: ServerUnderTest) -> None:
    """Servers without versions may leave it out."""
    answer = tested.post(f"{tested.model.call().path}/infer", tested.model.call().as_json())
    version = ok_object(answer).get("model_version")
    if version in {None, ""} and not tested.model.versions:
        raise NotApplicable("the model's metadata name no versions")
    require(isinstance(version, str), "'model_version' is no string")
    require(version in tested.model.versions, f"'model_version' {version!r} is not in the metadata")


@AREA.check("versioned", "inference by the version's path", REST_REQUEST)
def versioned(tested: ServerUnderTest) -> None:
    """The same answer by the longer path, and it names the version."""
    version = newest(tested)
    reply = tested.infer(tested.model.call().but(version=version))
    require(reply.version == version, f"'model_version' is {reply.version[:20]!r}, not {version!r}")
    tested.infer(tested.model.call()).same_outputs(reply)


@AREA.check("id", "the id is returned", REST_REQUEST)
def echo(tested: ServerUnderTest) -> None:
    """Any text is allowed; each is sent twice, because a cache may answer the second."""
    for text in ("42", 'ä "quoted" \\ id \u2603'):
        reply = tested.infer(tested.model.call().but(id=text))
        require(reply.id == text, f"'id' is {reply.id[:40]!r}, not {text!r}")


@AREA.check("no-id", "without an id none of somebody else's is returned", REST_RESPONSE)
def no_id(tested: ServerUnderTest) -> None:
    """The id of an equal request before must not come back."""
    tested.infer(tested.model.call().but(id="somebody-else"))
    reply = tested.infer(tested.model.call())
    require(reply.id != "somebody-else", "the id of another request came back")


@AREA.check("flat", "data as a flat list", REST_DATA)
def flat(tested: ServerUnderTest) -> None:
    """Row-major; equal requests get equal answers."""
    answers = [
        tested.post(f"{tested.model.call().path}/infer", tested.model.call().as_json()) for _ in range(2)
    ]
    reply_of(answers[0]).same_outputs(reply_of(answers[1]))


@AREA.check("nested", "data as nested lists mean the same", REST_DATA)
def nested(tested: ServerUnderTest) -> None:
    """The list may be nested as the shape is."""
    tested.infer(tested.model.call()).same_outputs(tested.infer(tested.model.call(), nested=True))


@AREA.check("null", "null for what may be absent is the same as leaving it out", REST_REQUEST, optional=True)
def null(tested: ServerUnderTest) -> None:
    """Clients whose messages are objects of classes write each of their fields."""
    body = tested.model.call().as_object()
    for entry in body["inputs"]:
        entry["parameters"] = None
    written = json.dumps({"id": None, "parameters": None, "outputs": None, **body}).encode()
    answer = tested.post(f"{tested.model.call().path}/infer", written)
    tested.infer(tested.model.call()).same_outputs(reply_of(answer))


@AREA.check("batch", "a batch is answered row by row", REST_INPUT)
def batch(tested: ServerUnderTest) -> None:
    """The same rows in another order get the same answers in that order.

    No single row is compared: a cascade may answer it from another model than the batch.
    """
    if not tested.model.is_batched:
        raise NotApplicable("the model takes no batches")
    rows = tested.model.batch + 1
    order = (1, 0, *range(2, rows))
    call = tested.model.call(batch=rows)
    first = tested.infer(call).by_name
    other = tested.infer(call.but(tensors=tuple(tensor.take(order) for tensor in call.tensors))).by_name
    for name, tensor in first.items():
        require(tensor.shape[:1] == (rows,), f"{rows} rows are answered with {list(tensor.shape)}")
        require(name in other, f"'{name}' is missing in the second answer")
        difference = tensor.take(order).same_as(other[name])
        require(not difference, f"in another order, {difference}")


@AREA.check("selected", "only the outputs that are asked for", REST_OUTPUT)
def selected(tested: ServerUnderTest) -> None:
    """Each output can be had alone."""
    everything = tested.infer(tested.model.call()).by_name
    for spec in tested.model.outputs:
        given = tested.infer(tested.model.call().but(outputs=(Wanted(spec.name),))).by_name
        require(list(given) == [spec.name], f"asked for '{spec.name}', got {sorted(given)}")
        require(spec.name in everything, f"'{spec.name}' is missing when all are asked for")
        difference = everything[spec.name].same_as(given[spec.name])
        require(not difference, difference)


@AREA.check(
    "parameters", "parameters that the server does not know are no error", PARAMETERS, extension="parameters"
)
def parameters(tested: ServerUnderTest) -> None:
    """Of every kind that JSON has, at the request, an input and an output."""
    known = {"suite_text": "a", "suite_number": 3, "suite_flag": True, "suite_fraction": 0.5}
    call = tested.model.call()
    outputs = tuple(Wanted(spec.name, {"suite_out": "b"}) for spec in tested.model.outputs)
    changed = call.with_first(parameters={"suite_in": "c"}).but(parameters=known, outputs=outputs)
    tested.infer(call).same_outputs(tested.infer(changed))


@AREA.check("no-content-type", "a request without Content-Type", REST_REQUEST)
def no_content_type(tested: ServerUnderTest) -> None:
    """Tritonclient sends none."""
    tested.infer(tested.model.call()).same_outputs(tested.infer(tested.model.call(), ()))


@AREA.check("content-type", "the answer is application/json", REST_RESPONSE)
def content_type(tested: ServerUnderTest) -> None:
    """The content type names the format of the body."""
    answer = tested.post(f"{tested.model.call().path}/infer", tested.model.call().as_json())
    ok_object(answer)
    content_type = answer.header("Content-Type").lower()
    require(content_type.startswith("application/json"), f"Content-Type is {content_type[:60]!r}")


@AREA.check("spelling", "JSON's other spellings mean the same", f"{REST_REQUEST}; RFC 8259 7")
def spelling(tested: ServerUnderTest) -> None:
    """White space, escaped letters and another order of members."""
    call = tested.model.call()
    body = call.as_object()
    body["inputs"] = [dict(reversed(list(entry.items()))) for entry in body["inputs"]]
    name = call.tensors[0].name
    escaped = "".join(f"\\u{ord(sign):04x}" for sign in name)
    text = json.dumps(body, separators=(",", ":")).replace(f'"{name}"', f'"{escaped}"', 1)
    answer = tested.post(f"{call.path}/infer", text.replace(",", "\r\n\t ,  ").encode(), JSON)
    tested.infer(call).same_outputs(reply_of(answer))
