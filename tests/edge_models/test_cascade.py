"""The edge first, the rest when it is unsure, the edge again when the rest is gone."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Coroutine

import numpy as np
import pytest
from msgspec.structs import replace

from edge_models.cascade import Cascade
from edge_models.licence import Artefacts, Licence
from gateway.core.clock import LoopClock
from gateway.core.eager import begin
from gateway.core.errors import Fault, GatewayError, Why
from gateway.core.request import Provenance, Response
from gateway.core.telemetry import CascadeDecided, CertificateRefused
from gateway.core.tensor import Tensor
from tests.edge_models.decisions import decision as decision_on
from tests.fakes.service import HANG, ScriptedService, answer, request
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.virtual_time import virtual_time

DOWN = GatewayError(Fault.UNAVAILABLE, "no endpoint answers", retryable=True, counts=True)


def edge_answer(confidence: float, rows: int = 1, digest: str = "sha256:ed") -> Response:
    """An uncertified answer with a label and probabilities that start with ``confidence``."""
    probabilities = np.tile(np.array([confidence, 0.0, 0.0], np.float32), (rows, 1))
    outputs = (
        Tensor.from_numpy("label", np.zeros(rows, np.int64)),
        Tensor.from_numpy("probabilities", probabilities),
    )
    return Response("digits", "1", outputs, Provenance("edge", certified=False, digest=digest))


LABELLED = decision_on("probabilities", exact=("label",))
SURE, UNSURE = edge_answer(0.95), edge_answer(0.5)


class Stage:
    """A cascade between a scripted edge and a scripted rest."""

    def __init__(
        self,
        edge,
        rest=None,
        *,
        down="serve_edge",
        threshold: float | None = 0.9,
        decision=None,
        central_digest="",
        **licence,
    ):
        self.telemetry = RecordingTelemetry()
        self.edge = edge if isinstance(edge, ScriptedService) else ScriptedService(edge)
        self.rest = rest if isinstance(rest, ScriptedService) else ScriptedService(rest or answer())
        self.licence = Licence(
            "digits",
            decision=decision or LABELLED,
            threshold=threshold,
            telemetry=self.telemetry,
            artefacts=Artefacts("sha256:ed", central_digest),
            now=float,
            **licence,
        )
        self.cascade = Cascade(
            self.edge,
            {"digits": self.licence},
            on_central_down=down,
            region="eu-west",
            clock=LoopClock(),
            telemetry=self.telemetry,
        )

    async def ask(self, **changes) -> Response:
        return await self.cascade(request(**changes), self.rest)

    @property
    def decided(self) -> list[tuple[str, str]]:
        return [(event.outcome, event.reason) for event in self.telemetry.of(CascadeDecided)]

    @property
    def calls(self) -> tuple[int, int]:
        """Requests to the edge and to the rest."""
        assert (self.edge.running, self.rest.running) == (0, 0)
        return len(self.edge.requests), len(self.rest.requests)


@virtual_time
async def test_a_confident_edge_answers_alone():
    """Confident and covered: certified, and the rest hears nothing."""
    stage = Stage(SURE)

    got = await stage.ask()

    assert (got.provenance.origin, got.provenance.certified) == ("edge", True)
    assert got.outputs == SURE.outputs
    assert stage.calls == (1, 0)
    assert stage.decided == [("answered", "confident")]
    assert repr(stage.cascade) == "<Cascade [<Licence digits from 0.9>] on_central_down=serve_edge>"


@virtual_time
async def test_an_unsure_edge_defers():
    """Below the threshold the rest's answer is passed on untouched."""
    central = answer("central", 7.0)
    stage = Stage(UNSURE, central)

    assert await stage.ask() is central
    assert stage.decided == [("deferred", "unsure")]


@virtual_time
async def test_the_rest_sees_the_request_unchanged_when_there_is_no_deadline():
    """Nothing to hold back, nothing to change."""
    stage = Stage(UNSURE)
    original = request()

    await stage.cascade(original, stage.rest)

    assert stage.rest.requests == [original]
    assert stage.rest.requests[0] is original


@virtual_time
async def test_not_a_number_defers():
    """NaN is never sure."""
    stage = Stage(edge_answer(math.nan))

    await stage.ask()

    assert stage.decided == [("deferred", "unsure")]


@virtual_time
async def test_a_model_without_a_licence_passes_by():
    """Other models of the route are none of the cascade's business."""
    stage = Stage(SURE)

    await stage.ask(model="words")

    assert stage.calls == (0, 1)
    assert stage.decided == []


@virtual_time
async def test_a_version_that_the_edge_lacks_passes_by():
    """The rest may have what the edge has not."""
    stage = Stage(GatewayError(Fault.NOT_FOUND, "Request for unknown model"), DOWN)

    with pytest.raises(GatewayError) as caught:
        await stage.ask(version="9", deadline=1010.0)

    assert caught.value is DOWN
    assert stage.rest.requests[0].deadline == 1010.0
    assert stage.decided == []


@virtual_time
async def test_a_request_that_must_not_be_computed_here_passes_by():
    """Residency binds the edge model too, certified or not, and as a fallback as well."""
    stage = Stage(SURE, DOWN)

    with pytest.raises(GatewayError):
        await stage.ask(regions=frozenset({"us-east"}))
    assert stage.calls == (0, 1)

    got = await stage.ask(regions=frozenset({"eu-west"}))
    assert got.provenance.origin == "edge"


@virtual_time
async def test_malformed_input_is_refused_at_once():
    """The edge knows what the model takes; the rest is not asked."""
    stage = Stage(GatewayError(Fault.INVALID, "unexpected shape"))

    with pytest.raises(GatewayError, match="unexpected shape"):
        await stage.ask()

    assert stage.calls == (1, 0)


@virtual_time
@pytest.mark.parametrize("fault", [Fault.INTERNAL, Fault.OVERLOADED, Fault.UNAVAILABLE])
async def test_an_edge_that_fails_defers(fault):
    """The edge model's illness costs time and nothing else."""
    stage = Stage(GatewayError(fault, "ill"))

    got = await stage.ask()

    assert got.provenance.origin == "central"
    assert stage.decided == [("deferred", f"edge_{fault}")]


RUN_FAILED = GatewayError(Fault.INVALID, "dimension mismatch", why=Why("run_failed", of_model=True))


@virtual_time
async def test_a_run_that_fails_on_its_values_is_centrals_to_judge():
    """The edge's artefact is another than central's: what fails here may work there."""
    stage = Stage(RUN_FAILED)

    got = await stage.ask()

    assert got.provenance.origin == "central"
    assert stage.decided == [("deferred", "edge_failed")]


@virtual_time
@pytest.mark.parametrize("threshold", [0.9, None], ids=["certified", "uncertified"])
async def test_a_run_that_fails_on_its_values_is_no_fallback(threshold):
    """Central is down, and nobody knows whether the values are to blame."""
    stage = Stage(RUN_FAILED, DOWN, threshold=threshold)

    with pytest.raises(GatewayError) as caught:
        await stage.ask()

    assert caught.value is DOWN


@virtual_time
async def test_when_both_tiers_fail_the_error_is_the_rests():
    """There is nothing left to serve."""
    stage = Stage(GatewayError(Fault.INTERNAL, "ill", counts=True), DOWN)

    with pytest.raises(GatewayError) as caught:
        await stage.ask(deadline=1010.0)

    assert caught.value is DOWN
    assert stage.rest.requests[0].deadline == 1010.0


@virtual_time
@pytest.mark.parametrize(
    "error",
    [
        DOWN,
        GatewayError(Fault.OVERLOADED, "full", retry_after_s=2.0),
        GatewayError(Fault.DEADLINE, "too slow", counts=True),
        GatewayError(Fault.INTERNAL, "crashed", counts=True),
        GatewayError(Fault.INTERNAL, "an answer that cannot be read", why=Why("protocol", of_model=True)),
    ],
    ids=lambda error: f"{error.fault} {error.message}",
)
async def test_central_down_serves_the_edge_uncertified(error):
    """The unsure answer, marked as such, is better than none where the route says so."""
    stage = Stage(UNSURE, error)

    got = await stage.ask()

    assert (got.provenance.origin, got.provenance.certified) == ("edge", False)
    assert got.outputs == UNSURE.outputs
    assert stage.calls == (1, 1)
    assert stage.decided == [("deferred", "unsure"), ("uncertified", str(error.fault))]


@virtual_time
@pytest.mark.parametrize(
    "fault", [Fault.INVALID, Fault.NOT_FOUND, Fault.FORBIDDEN, Fault.TOO_LARGE, Fault.INTERNAL]
)
@pytest.mark.parametrize("down", ["serve_edge", "fail"])
async def test_what_central_says_about_the_request_passes_through(fault, down):
    """A fault that is no evidence against central is the client's to hear."""
    error = GatewayError(fault, "as central says")
    stage = Stage(UNSURE, error, down=down)

    with pytest.raises(GatewayError) as caught:
        await stage.ask()

    assert caught.value is error


@virtual_time
async def test_central_down_fails_where_the_route_says_so():
    """503 with the reason; the unsure answer stays unsaid and the deadline whole."""
    stage = Stage(UNSURE, DOWN, down="fail")

    with pytest.raises(GatewayError) as caught:
        await stage.ask(deadline=1010.0)

    assert caught.value.fault is Fault.UNAVAILABLE
    assert caught.value.message == (
        "the edge model of 'digits' may not answer this request by itself, "
        "and the central tier cannot: no endpoint answers"
    )
    assert stage.rest.requests[0].deadline == 1010.0
    assert repr(stage.cascade).endswith("on_central_down=fail>")


@virtual_time
@pytest.mark.parametrize("fault", [Fault.OVERLOADED, Fault.DEADLINE])
async def test_exact_faults_stay_what_they_are_where_the_route_fails(fault):
    """Overload keeps its Retry-After, and a passed deadline is no outage."""
    error = GatewayError(fault, "busy", retry_after_s=3.0)
    stage = Stage(UNSURE, error, down="fail")

    with pytest.raises(GatewayError) as caught:
        await stage.ask()

    assert caught.value is error


@virtual_time
@pytest.mark.parametrize(("patience", "held_back"), [(10.0, 0.05), (0.2, 0.02)])
async def test_a_silent_central_leaves_time_for_the_edge(patience, held_back):
    """The rest gets a little less time than the caller gave: enough to answer before the caller leaves."""
    stage = Stage(UNSURE, HANG)
    deadline = 1000.0 + patience

    async with asyncio.timeout_at(deadline):
        got = await stage.ask(deadline=deadline)

    assert got.provenance.certified is False
    assert asyncio.get_running_loop().time() == pytest.approx(deadline - held_back)
    assert stage.rest.requests[0].deadline == pytest.approx(deadline - held_back)
    assert stage.decided[-1] == ("uncertified", "deadline")
    assert stage.calls == (1, 1)


@virtual_time
async def test_no_time_left_serves_the_edge():
    """A deadline that the edge alone used up still gets the answer that is there."""
    stage = Stage(UNSURE, HANG)

    got = await stage.ask(deadline=999.0)

    assert got.provenance.certified is False


@virtual_time
async def test_a_foreign_timeout_is_not_taken_for_the_own():
    """Only the cascade's own timer means that central was silent."""
    stage = Stage(UNSURE, TimeoutError("not ours"))

    with pytest.raises(TimeoutError, match="not ours"):
        await stage.ask(deadline=1010.0)


@virtual_time
async def test_a_caller_that_leaves_is_not_taken_for_a_silent_central():
    """Cancelled while waiting for either tier: it ends, nothing runs on, nothing is decided for it."""
    for stage in (Stage(ScriptedService(HANG)), Stage(UNSURE, HANG)):
        task = asyncio.create_task(stage.ask(deadline=1010.0))
        await asyncio.sleep(0.5)

        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert (stage.edge.running, stage.rest.running) == (0, 0)
        assert ("uncertified", "deadline") not in stage.decided


@virtual_time
async def test_callers_do_not_wait_for_each_other():
    """A deferred request that hangs does not hold up a confident one."""
    stage = Stage(ScriptedService(UNSURE, SURE), HANG)
    slow = asyncio.create_task(stage.ask())
    await asyncio.sleep(0)

    quick = await stage.ask()

    assert quick.provenance.certified is True
    assert not slow.done()
    stage.rest.release()
    assert (await slow).provenance.origin == "central"


@virtual_time
async def test_the_score_is_read_even_when_it_was_not_requested():
    """The edge is asked for everything; the client gets what it named, in its order."""
    stage = Stage(ScriptedService(SURE, SURE, UNSURE), DOWN)

    label = await stage.ask(outputs=("label",))
    swapped = await stage.ask(outputs=("probabilities", "label"))
    spare = await stage.ask(outputs=("label",))

    assert stage.edge.requests[0].outputs == ()
    assert [output.name for output in label.outputs] == ["label"]
    assert label.provenance.certified is True
    assert [output.name for output in swapped.outputs] == ["probabilities", "label"]
    assert [output.name for output in spare.outputs] == ["label"]
    assert stage.rest.requests[0].outputs == ("label",)


@virtual_time
async def test_an_output_that_only_central_may_have_defers():
    """The edge cannot answer it, certified or not."""
    stage = Stage(SURE, ScriptedService(answer(), DOWN))

    got = await stage.ask(outputs=("embedding",))
    with pytest.raises(GatewayError) as caught:
        await stage.ask(outputs=("embedding",))

    assert got.provenance.origin == "central"
    assert caught.value is DOWN
    assert stage.decided == [("deferred", "undecided"), ("deferred", "undecided")]


@virtual_time
async def test_a_step_of_a_sequence_is_never_the_edges():
    """Its state is central's: not even while central is down does the edge see it."""
    stage = Stage(SURE, ScriptedService(answer(), DOWN))
    step = {"sequence_id": 5, "sequence_start": True}

    assert (await stage.ask(parameters=step)).provenance.origin == "central"
    with pytest.raises(GatewayError) as caught:
        await stage.ask(parameters=step)

    assert caught.value is DOWN
    assert (stage.calls, stage.decided) == ((0, 2), [])


@virtual_time
async def test_parameters_that_may_change_the_answer_defer():
    """The sample had none of them; those that say how to schedule or to render make no difference."""
    stage = Stage(SURE)

    assert (await stage.ask(parameters={"temperature": 3.0})).provenance.origin == "central"
    assert (await stage.ask(parameters={"priority": 1})).provenance.origin == "edge"

    assert stage.calls == (1, 1)
    assert stage.decided == [("deferred", "unseen"), ("answered", "confident")]


@virtual_time
async def test_parameters_of_tensors_defer():
    """No edge model obeys them: whoever sends them is answered by central, or is told that it was not."""
    stage = Stage(SURE, ScriptedService(*[answer()] * 4, DOWN))
    inputs = request().inputs
    said = {"content_type": "np"}
    marked = tuple(replace(tensor, parameters=said) for tensor in inputs)

    origins = [
        (await stage.ask(inputs=marked)).provenance.origin,
        (await stage.ask(output_parameters={"y": said})).provenance.origin,
        (await stage.ask(parameters={"content_type": "np"})).provenance.origin,
        (await stage.ask(headers=(("x-my-a", "1"),))).provenance.origin,
    ]
    assert origins == ["central"] * 4
    assert stage.decided == [("deferred", "unseen")] * 4
    fallen_back = await stage.ask(inputs=marked)
    assert (fallen_back.provenance.origin, fallen_back.provenance.certified) == ("edge", False)


@virtual_time
@pytest.mark.parametrize(
    ("classes", "origin"),
    [
        ({"probabilities": 1}, "edge"),
        ({"probabilities": 3}, "central"),
        ({"label": 1}, "central"),
        ({"probabilities": 1, "label": 1}, "central"),
    ],
)
async def test_only_the_likeliest_class_is_what_the_certificate_means(classes, origin):
    """It was never compared which class comes second, nor which element of another task's output is highest."""
    stage = Stage(SURE)

    got = await stage.ask(outputs=tuple(classes), classes=classes)

    assert got.provenance.origin == origin
    assert stage.decided[0][1] == ("confident" if origin == "edge" else "undecided")


@virtual_time
async def test_without_a_certificate_everything_is_deferred():
    """However sure the edge would be, it is not even asked; the refusal is told once, not per request."""
    stage = Stage(SURE, threshold=None, refusal="edge_digest")

    for _ in range(3):
        got = await stage.ask()
        assert got.provenance.origin == "central"

    assert stage.calls == (0, 3)
    assert stage.telemetry.of(CertificateRefused) == [CertificateRefused("digits", "edge_digest")]
    assert stage.decided == [("deferred", "refused")] * 3


@virtual_time
async def test_without_a_certificate_the_edge_is_still_a_fallback():
    """Central silent: the edge answers in the time held back, uncertified however sure it is."""
    stage = Stage(SURE, HANG, threshold=None)

    async with asyncio.timeout_at(1010.0):
        got = await stage.ask(deadline=1010.0, outputs=("label",))

    assert (got.provenance.origin, got.provenance.certified) == ("edge", False)
    assert [output.name for output in got.outputs] == ["label"]
    assert stage.calls == (1, 1)


@virtual_time
@pytest.mark.parametrize(
    ("edge", "outputs", "fault"),
    [
        (GatewayError(Fault.INTERNAL, "ill"), (), Fault.UNAVAILABLE),
        (GatewayError(Fault.NOT_FOUND, "absent"), (), Fault.UNAVAILABLE),
        (GatewayError(Fault.INVALID, "malformed"), (), Fault.INVALID),
        (SURE, ("embedding",), Fault.UNAVAILABLE),
    ],
)
async def test_a_fallback_that_cannot_answer_names_the_cause(edge, outputs, fault):
    """Central's fault stays the cause, unless the request itself is wrong."""
    stage = Stage(edge, DOWN, threshold=None)

    with pytest.raises(GatewayError) as caught:
        await stage.ask(outputs=outputs)

    assert caught.value.fault is fault


@virtual_time
async def test_another_central_model_ends_the_licence(caplog):
    """One answer by another artefact than certified, and the edge answers nothing by itself any more."""
    edge = ScriptedService(UNSURE, SURE)
    stage = Stage(edge, answer(digest="sha256:bb"), central_digest="sha256:aa")

    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            got = await stage.ask()
            assert got.provenance.origin == "central"

    assert stage.calls == (1, 3)
    assert stage.telemetry.of(CertificateRefused) == [CertificateRefused("digits", "central_digest")]
    assert len(caplog.records) == 1


@virtual_time
async def test_a_licence_that_ends_while_the_edge_runs_covers_nothing():
    """What central answered meanwhile counts for the answer that is still on its way."""

    class Slow(ScriptedService):
        async def __call__(self, request):
            await super().__call__(request)
            return SURE

    edge = Slow(HANG)
    stage = Stage(edge, answer(digest="sha256:bb"), central_digest="sha256:aa")
    deferred = asyncio.create_task(stage.ask())
    await asyncio.sleep(0)
    stage.licence.compare(answer(digest="sha256:bb"), "")
    edge.release()

    assert (await deferred).provenance.origin == "central"


@virtual_time
async def test_an_edge_version_that_was_not_certified_defers():
    """The certificate names one artefact; an older one is unsure by definition."""
    stage = Stage(edge_answer(0.99, digest="sha256:old"))

    got = await stage.ask(version="1")

    assert got.provenance.origin == "central"


@virtual_time
async def test_central_gets_its_time_also_where_a_request_begins_without_a_task() -> None:
    """A listener takes the first step of a request where it stands, and there is no task yet on Python 3.11."""
    stage, loop = Stage(UNSURE, HANG), asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def begin_outside_of_a_task() -> None:
        call = stage.cascade(request(deadline=1010.0), stage.rest)
        assert isinstance(call, Coroutine)
        begun.append(begin(call, loop, lambda _: ended.set_result(None)))

    begun: list[Response | asyncio.Task[Response]] = []
    loop.call_soon(begin_outside_of_a_task)
    await ended

    (task,) = begun
    assert isinstance(task, asyncio.Task)
    assert task.result().provenance.certified is False
    assert loop.time() == pytest.approx(1009.95)


@virtual_time
@pytest.mark.parametrize("retry_after_s", [2.0, None])
@pytest.mark.parametrize("retryable", [True, False])
async def test_central_down_keeps_when_to_come_again(retry_after_s: float | None, retryable: bool) -> None:
    """What central's failure says of another attempt holds for the answer that is given in its stead."""
    error = GatewayError(Fault.UNAVAILABLE, "down", retryable=retryable, retry_after_s=retry_after_s)
    stage = Stage(UNSURE, error, down="fail")

    with pytest.raises(GatewayError, match="may not answer this request by itself") as caught:
        await stage.ask()

    assert (caught.value.retry_after_s, caught.value.retryable) == (retry_after_s, retryable)
    assert not caught.value.counts


@pytest.mark.parametrize("value", [math.nan, math.inf])
async def test_an_answer_of_centrals_that_is_no_number_is_not_certified(value):
    """It goes to the client as it is, marked; where no certificate is in force central's word is all there is."""
    certified = Stage(UNSURE, answer(value=value))
    bare = Stage(UNSURE, answer(value=value), threshold=None)

    marked, plain = await certified.ask(), await bare.ask()

    assert (marked.provenance.certified, plain.provenance.certified) == (False, True)
    assert marked.outputs == plain.outputs
