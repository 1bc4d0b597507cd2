"""Area `binary`: the binary tensor data extension of HTTP."""

from __future__ import annotations

from typing import Any, Final

from gateway.conformance.call import HEADER_LENGTH, Call, Wanted
from gateway.conformance.check import Area, NotApplicable, require
from gateway.conformance.clauses import BINARY
from gateway.conformance.expect import refused
from gateway.conformance.peer import Peer, reply_of
from gateway.conformance.tensors import to_raw

AREA = Area("binary")
EXTENSION: Final = "binary_tensor_data"
ALL: Final = {"binary_data_output": True}


def _need_json(call: Call) -> None:
    if call.raw_only:
        raise NotApplicable(f"'{call.raw_only[0]}' has a datatype that JSON has no word for")


def _wanted(call: Call, peer: Peer, **parameters: Any) -> Call:
    return call.but(outputs=tuple(Wanted(spec.name, parameters) for spec in peer.model.outputs))


@AREA.check("input", "inputs as binary data mean the same as JSON", BINARY, extension=EXTENSION)
def binary_input(peer: Peer) -> None:
    """The outputs come as JSON when they are not asked for otherwise."""
    _need_json(peer.model.call())
    reply, answer = peer.infer_binary(peer.model.call())
    require(not reply.binary, f"{list(reply.binary)} came as binary data without being asked for")
    require(not answer.header(HEADER_LENGTH), f"{HEADER_LENGTH} without binary data")
    peer.infer(peer.model.call()).same_outputs(reply)


@AREA.check("output", "an output as binary data", BINARY, extension=EXTENSION)
def binary_output(peer: Peer) -> None:
    """`binary_data` of a requested output; data and sizes agree."""
    reply = peer.infer(_wanted(peer.model.call(), peer, binary_data=True))
    require(set(reply.binary) == set(reply.by_name), f"only {list(reply.binary)} came as binary data")
    peer.infer(peer.model.call()).same_outputs(reply)


@AREA.check("output-all", "all outputs as binary data", BINARY, extension=EXTENSION)
def binary_output_all(peer: Peer) -> None:
    """`binary_data_output` of the request is the default of its outputs."""
    reply = peer.infer(peer.model.call().but(parameters=ALL))
    require(set(reply.binary) == set(reply.by_name), f"only {list(reply.binary)} came as binary data")


@AREA.check("output-one-not", "an output's own wish comes first", BINARY, extension=EXTENSION)
def binary_output_one_not(peer: Peer) -> None:
    """`binary_data: false` of an output outweighs `binary_data_output: true` of the request."""
    _need_json(peer.model.call())
    reply = peer.infer(_wanted(peer.model.call().but(parameters=ALL), peer, binary_data=False))
    require(not reply.binary, f"{list(reply.binary)} came as binary data all the same")
    require(reply.outputs, "there are no outputs")


@AREA.check("both", "binary data both ways", BINARY, extension=EXTENSION)
def binary_both(peer: Peer) -> None:
    """What tritonclient does by default."""
    reply, answer = peer.infer_binary(peer.model.call().but(parameters=ALL, id="7"))
    require(reply.binary, "no output came as binary data")
    require(reply.id == "7", "the id did not come back")
    require(answer.header(HEADER_LENGTH), f"there is no {HEADER_LENGTH}")
    peer.infer(peer.model.call()).same_outputs(reply)


@AREA.check(
    "output-type", "an answer with binary data is application/octet-stream", BINARY, extension=EXTENSION
)
def binary_type(peer: Peer) -> None:
    """An answer that is not JSON does not say that it is."""
    reply, answer = peer.infer_binary(peer.model.call().but(parameters=ALL))
    require(reply.binary, "no output came as binary data")
    told = answer.header("Content-Type").lower()
    require(told.startswith("application/octet-stream"), f"Content-Type is {told[:60]!r}")


@AREA.check("length-of-everything", "the header's length may be the whole body", BINARY, extension=EXTENSION)
def length_of_everything(peer: Peer) -> None:
    """A request of JSON alone may say so."""
    call = peer.model.call().but(parameters=ALL)
    body = call.as_json()
    answer = peer.post(f"{call.path}/infer", body, ((HEADER_LENGTH, str(len(body))),))
    require(reply_of(answer).binary, "no output came as binary data")


@AREA.check("raw-body", "a body that is one tensor", f"{BINARY}, Raw Binary Request", extension=EXTENSION)
def raw_body(peer: Peer) -> None:
    """Length 0 means no JSON: the only input, batch 1."""
    if len(peer.model.inputs) != 1 or sum(size == -1 for size in peer.model.inputs[0].shape[1:]):
        raise NotApplicable("the model does not have one input of known size")
    call = peer.model.call(batch=1)
    raw = to_raw(call.tensors[0])
    if peer.model.inputs[0].datatype == "BYTES":
        raw = call.tensors[0].values[0]
    reply = reply_of(peer.post(f"{call.path}/infer", raw, ((HEADER_LENGTH, "0"),)))
    require(reply.binary, "the outputs did not come as binary data")
    peer.infer(call).same_outputs(reply)


def _refuse(peer: Peer, body: bytes, length: str) -> None:
    with peer.given("binary data"):
        peer.infer_binary(peer.model.call().but(parameters=ALL))
    refused(peer.post(f"{peer.model.call().path}/infer", body, ((HEADER_LENGTH, length),)))


@AREA.check("short", "fewer bytes than binary_data_size are refused", BINARY, extension=EXTENSION)
def short(peer: Peer) -> None:
    """What is missing is not made up."""
    body, length = peer.model.call().as_binary()
    _refuse(peer, body[:-1], str(length))


@AREA.check("left-over", "bytes left over are refused", BINARY, extension=EXTENSION)
def left_over(peer: Peer) -> None:
    """The sizes add up to the body's."""
    body, length = peer.model.call().as_binary()
    _refuse(peer, body + b"\0", str(length))


@AREA.check("length-too-large", "a header length past the body is refused", BINARY, extension=EXTENSION)
def length_too_large(peer: Peer) -> None:
    """The JSON cannot be longer than everything."""
    body, _ = peer.model.call().as_binary()
    _refuse(peer, body, str(len(body) + 1))


@AREA.check("length-negative", "a negative header length is refused", BINARY, extension=EXTENSION)
def length_negative(peer: Peer) -> None:
    """A length is a whole number that is not negative."""
    body, length = peer.model.call().as_binary()
    _refuse(peer, body, f"-{length}")


@AREA.check("length-no-number", "a header length that is no number is refused", BINARY, extension=EXTENSION)
def length_no_number(peer: Peer) -> None:
    """Nor a number with something behind it."""
    body, length = peer.model.call().as_binary()
    _refuse(peer, body, f"{length}x")


@AREA.check("size-of-shape", "bytes that do not fill the shape are refused", BINARY, extension=EXTENSION)
def size_of_shape(peer: Peer) -> None:
    """`binary_data_size` agrees with the body, and not with datatype and shape."""
    tensor = peer.model.call().tensors[0]
    body, length = peer.model.call().with_first(values=tensor.values[:-1]).as_binary()
    _refuse(peer, body, str(length))


@AREA.check("negative-size", "a negative binary_data_size is refused", BINARY, extension=EXTENSION)
def negative_size(peer: Peer) -> None:
    """A size is a whole number that is not negative."""
    body, length = peer.model.call().as_binary()
    head = body[:length].replace(b'"binary_data_size": ', b'"binary_data_size": -')
    _refuse(peer, head + body[length:], str(len(head)))
