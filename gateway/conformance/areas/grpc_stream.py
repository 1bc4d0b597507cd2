"""Area `grpc-stream`: ModelStreamInfer."""

from __future__ import annotations

from typing import Any, Final

from gateway.conformance import messages
from gateway.conformance.call import read_message
from gateway.conformance.check import Area
from gateway.conformance.clauses import STREAMING
from gateway.conformance.faults import NO_SUCH_MODEL
from gateway.conformance.grpc_wire import GrpcAnswer
from gateway.conformance.server_under_test import ServerUnderTest
from gateway.conformance.verdicts import Absent, require

AREA = Area("grpc-stream")
REPLY: Final = messages.ModelStreamInferResponse


def _stream(tested: ServerUnderTest, *sent: Any, **options: Any) -> GrpcAnswer:
    answer = tested.stream("ModelStreamInfer", sent, REPLY, **options)
    if answer.code == "UNIMPLEMENTED":
        raise Absent("answered with UNIMPLEMENTED")
    return answer


@AREA.check("one", "one request, one answer, and the stream ends well", STREAMING, optional=True)
def one(tested: ServerUnderTest) -> None:
    """The answer is that of ModelInfer."""
    answer = _stream(tested, tested.model.call().but(id="s1").as_message())
    require(answer.code == "OK", f"ended with {answer.code}: {answer.details[:200]}")
    require(len(answer.messages) == 1, f"there were {len(answer.messages)} answers")
    require(not answer.message.error_message, f"error: {answer.message.error_message[:200]}")
    reply = read_message(answer.message.infer_response)
    require(reply.id == "s1", f"'id' is {reply.id[:40]!r}")
    tested.infer_grpc(tested.model.call()).same_outputs(reply)


@AREA.check("many", "ten requests, ten answers in order", STREAMING, optional=True)
def many(tested: ServerUnderTest) -> None:
    """The answers are matched by their ids."""
    ids = [f"s{number}" for number in range(10)]
    sent = [tested.model.call(seed=seed).but(id=text).as_message() for seed, text in enumerate(ids)]
    answer = _stream(tested, *sent)
    require(answer.code == "OK", f"ended with {answer.code}: {answer.details[:200]}")
    got = [message.infer_response.id for message in answer.messages]
    require(got == ids, f"the ids are {got}")


@AREA.check("error", "an error is told in the stream, which goes on", STREAMING, optional=True)
def error(tested: ServerUnderTest) -> None:
    """A request after the wrong one is answered."""
    right = tested.model.call().but(id="right").as_message()
    wrong = tested.model.call().but(model=NO_SUCH_MODEL, id="wrong").as_message()
    answer = _stream(tested, wrong, right)
    require(answer.code == "OK", f"ended with {answer.code}: {answer.details[:200]}")
    errors = [message.error_message for message in answer.messages if message.error_message]
    require(len(errors) == 1, f"{len(errors)} of {len(answer.messages)} answers are errors, not 1")
    ids = {message.infer_response.id for message in answer.messages if not message.error_message}
    require(ids == {"right"}, f"the answers that are no errors are {sorted(ids)}")


@AREA.check("empty", "a stream without requests ends well", STREAMING, optional=True)
def empty(tested: ServerUnderTest) -> None:
    """No request, no answer."""
    with tested.given("a stream"):
        one(tested)
    answer = _stream(tested)
    require(answer.code == "OK" and not answer.messages, f"ended with {answer.code}: {answer.details[:200]}")
