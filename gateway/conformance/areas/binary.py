"""Area `binary`: the binary tensor data extension of HTTP."""

from __future__ import annotations

from typing import Any, Final

from gateway.conformance.call import HEADER_LENGTH, Call, Wanted
from gateway.conformance.check import Area
from gateway.conformance.clauses import BINARY
from gateway.conformance.expect import refused
from gateway.conformance.server_under_test import ServerUnderTest, reply_of
from gateway.conformance.tensors import to_raw
from gateway.conformance.verdicts import NotApplicable, require

AREA = Area("binary")
EXTENSION: Final = "binary_tensor_data"
ALL: Final = {"binary_data_output": True}


def _need_json(call: Call) -> None:
    if call.raw_only:
        raise NotApplicable(f"'{call.raw_only[0]}' has a datatype that JSON has no word for")


def _wanted(call: Call, tested: ServerUnderTest, **parameters: Any) -> Call:
    return call.but(outputs=tuple(Wanted(spec.name, parameters) for spec in tested.model.outputs))


@AREA.check("input", "inputs as binary data mean the same as JSON", BINARY, extension=EXTENSION)
def binary_input(tested: ServerUnderTest) -> None:
    """The outputs come as JSON when they are not asked for otherwise."""
    _need_json(tested.model.call())
    reply, answer = tested.infer_binary(tested.model.call())
    require(not reply.binary, f"{list(reply.binary)} came as binary data without being asked for")
    require(not answer.header(HEADER_LENGTH), f"{HEADER_LENGTH} without binary data")
    tested.infer(tested.model.call()).same_outputs(reply)


@AREA.check("output", "an output as binary data", BINARY, extension=EXTENSION)
def binary_output(tested: ServerUnderTest) -> None:
    """`binary_data` of a requested output; data and sizes agree."""
    reply = tested.infer(_wanted(tested.model.call(), tested, binary_data=True))
    require(set(reply.binary) == set(reply.by_name), f"only {list(reply.binary)} came as binary data")
    tested.infer(tested.model.call()).same_outputs(reply)


@AREA.check("output-all", "all outputs as binary data", BINARY, extension=EXTENSION)
def binary_output_all(tested: ServerUnderTest) -> None:
    """`binary_data_output` of the request is the default of its outputs."""
    reply = tested.infer(tested.model.call().but(parameters=ALL))
    require(set(reply.binary) == set(reply.by_name), f"only {list(reply.binary)} came as binary data")


@AREA.check("output-one-not", "an output's own wish comes first", BINARY, extension=EXTENSION)
def binary_output_one_not(tested: ServerUnderTest) -> None:
    """`binary_data: false` of an output outweighs `binary_data_output: true` of the request."""
    _need_json(tested.model.call())
    reply = tested.infer(_wanted(tested.model.call().but(parameters=ALL), tested, binary_data=False))
    require(not reply.binary, f"{list(reply.binary)} came as binary data all the same")
    require(reply.outputs, "there are no outputs")


@AREA.check("both", "binary data both ways", BINARY, extension=EXTENSION)
def binary_both(tested: ServerUnderTest) -> None:
    """What tritonclient does by default."""
    reply, answer = tested.infer_binary(tested.model.call().but(parameters=ALL, id="7"))
    require(reply.binary, "no output came as binary data")
    require(reply.id == "7", "the id did not come back")
    require(answer.header(HEADER_LENGTH), f"there is no {HEADER_LENGTH}")
    tested.infer(tested.model.call()).same_outputs(reply)


@AREA.check(
    "output-type", "an answer with binary data is application/octet-stream", BINARY, extension=EXTENSION
)
def binary_type(tested: ServerUnderTest) -> None:
    """The content type of an answer with binary data is not JSON's."""
    reply, answer = tested.infer_binary(tested.model.call().but(parameters=ALL))
    require(reply.binary, "no output came as binary data")
    content_type = answer.header("Content-Type").lower()
    require(content_type.startswith("application/octet-stream"), f"Content-Type is {content_type[:60]!r}")


@AREA.check("length-of-everything", "the header's length may be the whole body", BINARY, extension=EXTENSION)
def length_of_everything(tested: ServerUnderTest) -> None:
    """The length may be the whole body's: a request of JSON alone."""
    call = tested.model.call().but(parameters=ALL)
    body = call.as_json()
    answer = tested.post(f"{call.path}/infer", body, ((HEADER_LENGTH, str(len(body))),))
    require(reply_of(answer).binary, "no output came as binary data")


@AREA.check("raw-body", "a body that is one tensor", f"{BINARY}, Raw Binary Request", extension=EXTENSION)
def raw_body(tested: ServerUnderTest) -> None:
    """Length 0 means no JSON: the only input, batch 1."""
    if len(tested.model.inputs) != 1 or sum(size == -1 for size in tested.model.inputs[0].shape[1:]):
        raise NotApplicable("the model does not have one input of known size")
    call = tested.model.call(batch=1)
    raw = to_raw(call.tensors[0])
    if tested.model.inputs[0].datatype == "BYTES":
        raw = call.tensors[0].values[0]
    reply = reply_of(tested.post(f"{call.path}/infer", raw, ((HEADER_LENGTH, "0"),)))
    require(reply.binary, "the outputs did not come as binary data")
    tested.infer(call).same_outputs(reply)


def _refuse(tested: ServerUnderTest, body: bytes, length: str) -> None:
    with tested.given("binary data"):
        tested.infer_binary(tested.model.call().but(parameters=ALL))
    refused(tested.post(f"{tested.model.call().path}/infer", body, ((HEADER_LENGTH, length),)))


@AREA.check("short", "fewer bytes than binary_data_size are refused", BINARY, extension=EXTENSION)
def short(tested: ServerUnderTest) -> None:
    """The server does not fill up what is missing."""
    body, length = tested.model.call().as_binary()
    _refuse(tested, body[:-1], str(length))


@AREA.check("left-over", "bytes left over are refused", BINARY, extension=EXTENSION)
def left_over(tested: ServerUnderTest) -> None:
    """The sizes add up to the body's."""
    body, length = tested.model.call().as_binary()
    _refuse(tested, body + b"\0", str(length))


@AREA.check("length-too-large", "a header length past the body is refused", BINARY, extension=EXTENSION)
def length_too_large(tested: ServerUnderTest) -> None:
    """The JSON cannot be longer than everything."""
    body, _ = tested.model.call().as_binary()
    _refuse(tested, body, str(len(body) + 1))


@AREA.check("length-negative", "a negative header length is refused", BINARY, extension=EXTENSION)
def length_negative(tested: ServerUnderTest) -> None:
    """A length is a whole number that is not negative."""
    body, length = tested.model.call().as_binary()
    _refuse(tested, body, f"-{length}")


@AREA.check("length-no-number", "a header length that is no number is refused", BINARY, extension=EXTENSION)
def length_no_number(tested: ServerUnderTest) -> None:
    """Nor may anything stand behind the number."""
    body, length = tested.model.call().as_binary()
    _refuse(tested, body, f"{length}x")


@AREA.check("size-of-shape", "bytes that do not fill the shape are refused", BINARY, extension=EXTENSION)
def size_of_shape(tested: ServerUnderTest) -> None:
    """`binary_data_size` agrees with the body, and not with datatype and shape."""
    tensor = tested.model.call().tensors[0]
    body, length = tested.model.call().with_first(values=tensor.values[:-1]).as_binary()
    _refuse(tested, body, str(length))


@AREA.check("negative-size", "a negative binary_data_size is refused", BINARY, extension=EXTENSION)
def negative_size(tested: ServerUnderTest) -> None:
    """A size is a whole number that is not negative."""
    body, length = tested.model.call().as_binary()
    head = body[:length].replace(b'"binary_data_size": ', b'"binary_data_size": -')
    _refuse(tested, head + body[length:], str(len(head)))
