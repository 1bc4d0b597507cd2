"""Area `infer`: inference with JSON over HTTP."""

from __future__ import annotations

import json

from gateway.conformance.areas.model import newest
from gateway.conformance.call import Wanted
from gateway.conformance.check import Area, NotApplicable, require
from gateway.conformance.clauses import (
    PARAMETERS,
    REST_DATA,
    REST_INPUT,
    REST_OUTPUT,
    REST_REQUEST,
    REST_RESPONSE,
)
from gateway.conformance.expect import ok_object
from gateway.conformance.peer import JSON, Peer, reply_of

AREA = Area("infer")


@AREA.check("basic", "the answer has the model's name and all outputs", REST_RESPONSE)
def basic(peer: Peer) -> None:
    """All outputs are answered when none is named."""
    reply = peer.infer(peer.model.call())
    require(reply.model == peer.model.name, f"'model_name' is {reply.model[:40]!r}")
    wanted = sorted(spec.name for spec in peer.model.outputs)
    require(sorted(reply.by_name) == wanted, f"the outputs are {sorted(reply.by_name)}, not {wanted}")


@AREA.check("as-described", "outputs have the datatypes and shapes of the metadata", REST_RESPONSE)
def as_described(peer: Peer) -> None:
    """What the metadata promise, the answer keeps."""
    given = peer.infer(peer.model.call()).by_name
    for spec in peer.model.outputs:
        require(spec.name in given, f"'{spec.name}' is missing")
        tensor = given[spec.name]
        require(tensor.datatype == spec.datatype, f"'{spec.name}' is {tensor.datatype}, not {spec.datatype}")
        fits = len(tensor.shape) == len(spec.shape) and all(
            want in {-1, size} for want, size in zip(spec.shape, tensor.shape, strict=True)
        )
        require(fits, f"'{spec.name}' is {list(tensor.shape)}, not {list(spec.shape)}")


@AREA.check("version", "model_version is a text, and one of the model's", REST_RESPONSE)
def version(peer: Peer) -> None:
    """Servers without versions leave it out."""
    answer = peer.post(f"{peer.model.call().path}/infer", peer.model.call().as_json())
    told = ok_object(answer).get("model_version")
    if told in {None, ""} and not peer.model.versions:
        raise NotApplicable("the model's metadata name no versions")
    require(isinstance(told, str), "'model_version' is no string")
    require(told in peer.model.versions, f"'model_version' {told!r} is not in the metadata")


@AREA.check("versioned", "inference by the version's path", REST_REQUEST)
def versioned(peer: Peer) -> None:
    """The same answer by the longer path, and it names the version."""
    asked = newest(peer)
    reply = peer.infer(peer.model.call().but(version=asked))
    require(reply.version == asked, f"'model_version' is {reply.version[:20]!r}, not {asked!r}")
    peer.infer(peer.model.call()).same_outputs(reply)


@AREA.check("id", "the id is returned", REST_REQUEST)
def echo(peer: Peer) -> None:
    """Whatever text it is; twice, because a cache may stand between."""
    for text in ("42", 'ä "quoted" \\ id \u2603'):
        reply = peer.infer(peer.model.call().but(id=text))
        require(reply.id == text, f"'id' is {reply.id[:40]!r}, not {text!r}")


@AREA.check("no-id", "without an id none of somebody else's is returned", REST_RESPONSE)
def no_id(peer: Peer) -> None:
    """The id of an equal request before must not come back."""
    peer.infer(peer.model.call().but(id="somebody-else"))
    reply = peer.infer(peer.model.call())
    require(reply.id != "somebody-else", "the id of another request came back")


@AREA.check("flat", "data as a flat list", REST_DATA)
def flat(peer: Peer) -> None:
    """Row-major; equal requests get equal answers."""
    answers = [peer.post(f"{peer.model.call().path}/infer", peer.model.call().as_json()) for _ in range(2)]
    reply_of(answers[0]).same_outputs(reply_of(answers[1]))


@AREA.check("nested", "data as nested lists mean the same", REST_DATA)
def nested(peer: Peer) -> None:
    """The list may be nested as the shape is."""
    peer.infer(peer.model.call()).same_outputs(peer.infer(peer.model.call(), nested=True))


@AREA.check("batch", "a batch is answered row by row", REST_INPUT)
def batch(peer: Peer) -> None:
    """The same rows in another order get the same answers in that order.

    One row alone is no measure: a cascade may answer it from another model than the batch.
    """
    if not peer.model.is_batched:
        raise NotApplicable("the model takes no batches")
    rows = peer.model.batch + 1
    order = (1, 0, *range(2, rows))
    call = peer.model.call(batch=rows)
    first = peer.infer(call).by_name
    other = peer.infer(call.but(tensors=tuple(tensor.take(order) for tensor in call.tensors))).by_name
    for name, tensor in first.items():
        require(tensor.shape[:1] == (rows,), f"{rows} rows are answered with {list(tensor.shape)}")
        require(name in other, f"'{name}' is missing in the second answer")
        difference = tensor.take(order).same_as(other[name])
        require(not difference, f"in another order, {difference}")


@AREA.check("selected", "only the outputs that are asked for", REST_OUTPUT)
def selected(peer: Peer) -> None:
    """Each output can be had alone."""
    everything = peer.infer(peer.model.call()).by_name
    for spec in peer.model.outputs:
        given = peer.infer(peer.model.call().but(outputs=(Wanted(spec.name),))).by_name
        require(list(given) == [spec.name], f"asked for '{spec.name}', got {sorted(given)}")
        require(spec.name in everything, f"'{spec.name}' is missing when all are asked for")
        difference = everything[spec.name].same_as(given[spec.name])
        require(not difference, difference)


@AREA.check(
    "parameters", "parameters that the server does not know are no error", PARAMETERS, extension="parameters"
)
def parameters(peer: Peer) -> None:
    """Of every kind that JSON has, at the request, an input and an output."""
    known = {"suite_text": "a", "suite_number": 3, "suite_flag": True, "suite_fraction": 0.5}
    call = peer.model.call()
    outputs = tuple(Wanted(spec.name, {"suite_out": "b"}) for spec in peer.model.outputs)
    changed = call.with_first(parameters={"suite_in": "c"}).but(parameters=known, outputs=outputs)
    peer.infer(call).same_outputs(peer.infer(changed))


@AREA.check("no-content-type", "a request without Content-Type", REST_REQUEST)
def no_content_type(peer: Peer) -> None:
    """Tritonclient sends none."""
    peer.infer(peer.model.call()).same_outputs(peer.infer(peer.model.call(), ()))


@AREA.check("content-type", "the answer is application/json", REST_RESPONSE)
def content_type(peer: Peer) -> None:
    """The body is said to be what it is."""
    answer = peer.post(f"{peer.model.call().path}/infer", peer.model.call().as_json())
    ok_object(answer)
    told = answer.header("Content-Type").lower()
    require(told.startswith("application/json"), f"Content-Type is {told[:60]!r}")


@AREA.check("spelling", "JSON's other spellings mean the same", f"{REST_REQUEST}; RFC 8259 7")
def spelling(peer: Peer) -> None:
    """White space, escaped letters and another order of members."""
    call = peer.model.call()
    body = call.as_object()
    body["inputs"] = [dict(reversed(list(entry.items()))) for entry in body["inputs"]]
    name = call.tensors[0].name
    escaped = "".join(f"\\u{ord(sign):04x}" for sign in name)
    text = json.dumps(body, separators=(",", ":")).replace(f'"{name}"', f'"{escaped}"', 1)
    answer = peer.post(f"{call.path}/infer", text.replace(",", "\r\n\t ,  ").encode(), JSON)
    peer.infer(call).same_outputs(reply_of(answer))
