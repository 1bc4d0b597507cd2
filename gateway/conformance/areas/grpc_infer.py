"""Area `grpc-infer`: ModelInfer, its codes, limits and compression."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import grpc
import numpy as np

from gateway.conformance import messages
from gateway.conformance.areas.model import newest
from gateway.conformance.call import Wanted
from gateway.conformance.check import Area
from gateway.conformance.clauses import GRPC_CODES, GRPC_DATA, GRPC_INFER, PARAMETERS
from gateway.conformance.expect import refused_grpc
from gateway.conformance.faults import FAULTY, FaultyCall
from gateway.conformance.grpc_wire import GrpcAnswer
from gateway.conformance.server_under_test import ServerUnderTest
from gateway.conformance.verdicts import require

AREA = Area("grpc-infer")
REPLY: Final = messages.ModelInferResponse
INVALID: Final = ("INVALID_ARGUMENT",)


@AREA.check("raw", "raw contents; the answer has name, outputs and id", GRPC_INFER)
def raw(tested: ServerUnderTest) -> None:
    """All outputs are answered when none is named."""
    reply = tested.infer_grpc(tested.model.call().but(id="g1"))
    require(reply.model == tested.model.name, f"'model_name' is {reply.model[:40]!r}")
    require(reply.id == "g1", f"'id' is {reply.id[:40]!r}")
    wanted = sorted(spec.name for spec in tested.model.outputs)
    require(sorted(reply.by_name) == wanted, f"the outputs are {sorted(reply.by_name)}, not {wanted}")


@AREA.check("typed", "typed contents mean the same as raw ones", GRPC_DATA)
def typed(tested: ServerUnderTest) -> None:
    """A client may use either form."""
    reply = tested.infer_grpc(tested.model.call(), typed=True)
    tested.infer_grpc(tested.model.call()).same_outputs(reply)


@AREA.check("versioned", "a version by its number", GRPC_INFER)
def versioned(tested: ServerUnderTest) -> None:
    """The answer names it."""
    version = newest(tested)
    reply = tested.infer_grpc(tested.model.call().but(version=version))
    require(reply.version == version, f"'model_version' is {reply.version[:20]!r}, not {version!r}")


@AREA.check("selected", "only the outputs that are asked for", GRPC_INFER)
def selected(tested: ServerUnderTest) -> None:
    """Each can be had alone."""
    for spec in tested.model.outputs:
        reply = tested.infer_grpc(tested.model.call().but(outputs=(Wanted(spec.name),)))
        require(list(reply.by_name) == [spec.name], f"asked for '{spec.name}', got {sorted(reply.by_name)}")


@AREA.check("no-id", "without an id none of somebody else's is returned", GRPC_INFER)
def no_id(tested: ServerUnderTest) -> None:
    """The id of an equal request before must not come back."""
    tested.infer_grpc(tested.model.call().but(id="somebody-else"))
    reply = tested.infer_grpc(tested.model.call())
    require(reply.id != "somebody-else", "the id of another request came back")


@AREA.check(
    "parameters", "parameters that the server does not know are no error", PARAMETERS, extension="parameters"
)
def parameters(tested: ServerUnderTest) -> None:
    """Parameters of every type, of the request and of an input."""
    call = tested.model.call()
    changed = call.with_first(parameters={"suite": "a"}).but(
        parameters={"suite_flag": True, "suite_number": 3}
    )
    tested.infer_grpc(call).same_outputs(tested.infer_grpc(changed))


@AREA.check("metadata", "call metadata that the server does not know are no error", "gRPC, Request-Headers")
def metadata(tested: ServerUnderTest) -> None:
    """Text and binary."""
    metadata = (("x-suite", "a"), ("x-suite-bin", b"\x00\xff"))
    tested.infer_grpc(tested.model.call()).same_outputs(
        tested.infer_grpc(tested.model.call(), metadata=metadata)
    )


@AREA.check("gzip", "a message in gzip", "gRPC, Compression", optional=True)
def gzip(tested: ServerUnderTest) -> None:
    """All common gRPC servers accept gzip."""
    message = tested.model.call().as_message()
    answer = tested.call("ModelInfer", message, REPLY, compression=grpc.Compression.Gzip)
    require(answer.code == "OK", f"ended with {answer.code}: {answer.details[:200]}")
    require(answer.message.outputs, "there are no outputs")


def _of(faulty: FaultyCall) -> Callable[[ServerUnderTest], None]:
    def check(tested: ServerUnderTest) -> None:
        answer = tested.call("ModelInfer", faulty.make(tested.model).as_message(), REPLY)
        refused_grpc(answer, faulty.codes)
        tested.goes_on_grpc()

    return check


for _faulty in FAULTY:
    AREA.check(_faulty.id, f"{_faulty.title} is {' or '.join(_faulty.codes)}", GRPC_CODES)(_of(_faulty))


def _refused(tested: ServerUnderTest, answer: GrpcAnswer, codes: tuple[str, ...] = INVALID) -> None:
    refused_grpc(answer, codes)
    tested.goes_on_grpc()


@AREA.check("raw-and-typed", "raw and typed contents together are refused", GRPC_INFER)
def raw_and_typed(tested: ServerUnderTest) -> None:
    """A request has raw or typed contents for all inputs, not both."""
    message = tested.model.call().as_message(typed=True)
    message.raw_input_contents.extend(tested.model.call().as_message().raw_input_contents)
    _refused(tested, tested.call("ModelInfer", message, REPLY))


@AREA.check("raw-count", "more raw contents than inputs are refused", GRPC_INFER)
def raw_count(tested: ServerUnderTest) -> None:
    """One for each input."""
    message = tested.model.call().as_message()
    message.raw_input_contents.append(b"1234")
    _refused(tested, tested.call("ModelInfer", message, REPLY))


@AREA.check("no-contents", "an input without contents is refused", GRPC_INFER)
def no_contents(tested: ServerUnderTest) -> None:
    """There are neither raw nor typed contents."""
    message = tested.model.call().as_message()
    del message.raw_input_contents[:]
    _refused(tested, tested.call("ModelInfer", message, REPLY))


@AREA.check("wrong-contents", "typed contents in another datatype's field are refused", GRPC_DATA)
def wrong_contents(tested: ServerUnderTest) -> None:
    """The field must match the datatype."""
    message = tested.model.call().as_message(typed=True)
    contents = message.inputs[0].contents
    count = tested.model.call().tensors[0].values.size
    other = "uint64_contents" if tested.model.inputs[0].datatype != "UINT64" else "fp64_contents"
    contents.Clear()
    getattr(contents, other).extend([1] * count)
    _refused(tested, tested.call("ModelInfer", message, REPLY))


@AREA.check("no-message", "bytes that are no message are an error of the call alone", GRPC_CODES)
def no_message(tested: ServerUnderTest) -> None:
    """The libraries of gRPC answer INTERNAL; INVALID_ARGUMENT is correct, too."""
    answer = tested.call("ModelInfer", b"\xff\xff\xff\xff", REPLY)
    require(answer.code in {"INTERNAL", "INVALID_ARGUMENT", "UNKNOWN"}, f"ended with {answer.code}")
    tested.goes_on_grpc()


@AREA.check("large", "a message of 5 MB is answered", GRPC_CODES)
def large(tested: ServerUnderTest) -> None:
    """It may be refused for its contents or its size; the connection goes on."""
    tensor = tested.model.call().tensors[0]
    big = replace(tensor, shape=(5 << 20,), datatype="UINT8", values=np.zeros(5 << 20, np.uint8))
    answer = tested.call("ModelInfer", tested.model.call().but(tensors=(big,)).as_message(), REPLY)
    refused_grpc(answer, ("INVALID_ARGUMENT", "RESOURCE_EXHAUSTED"))
    tested.goes_on_grpc()
