"""The edge model first; the rest of the stack when it is not sure enough."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from typing import Final, Literal

from msgspec.structs import replace

from edge_models.licence import Permission
from gateway.core.answer_check import is_finite
from gateway.core.clock import Clock
from gateway.core.eager import in_task
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import IGNORED_PARAMETERS, SEQUENCE, Request, Response
from gateway.core.service import Filter, Pending, Service
from gateway.core.telemetry import CascadeDecided, Telemetry
from gateway.core.tensor import Tensor

OnCentralDown = Literal["serve_edge", "fail"]

_EDGE_IS_ILL: Final = frozenset({Fault.INTERNAL, Fault.OVERLOADED, Fault.UNAVAILABLE})
_CENTRAL_IS_DOWN: Final = frozenset({Fault.UNAVAILABLE, Fault.OVERLOADED, Fault.DEADLINE})
_CONFIDENT: Final = "confident"
_REFUSED: Final = "refused"
_UNDECIDED: Final = "undecided"
_UNSEEN: Final = "unseen"
_ABSENT: Final = "absent"
_EDGE_NOT_RUN: Final = frozenset({_REFUSED, _UNDECIDED, _UNSEEN})
"""Reasons for which a request is deferred without a run of the edge model."""

_MOST_RESERVED_S: Final = 0.05
_SHARE_RESERVED: Final = 0.1


class Cascade:
    """Answers from the edge what its licence covers, and defers everything else to the service.

    A request whose model has no licence here, or whose model or version the edge does not hold, goes
    straight on; so does one that must not be computed in this region, and one step of a sequence, whose state
    is central's. One that gets an output for which the certificate does not speak (or another view of it, as
    the three likeliest classes) is deferred, however sure the edge is, and so is one whose inputs,
    parameters or forwarded headers are not of the kind that was measured.

    While ``on_central_down`` is ``serve_edge`` the rest gets a slightly earlier deadline than the caller
    gave: what is held back (a tenth of the time left, at most 50 ms) is what it takes to answer from the
    edge, uncertified, when central stays silent.

    Args:
        edge: answers from the models of this process.
        licences: model → what its edge model may answer by itself.
        on_central_down: ``serve_edge`` answers without the certificate's guarantee, marked as such;
            ``fail`` raises UNAVAILABLE, or OVERLOADED or DEADLINE where it was that.
        region: where this process stands.
        clock: the clock of deadlines.
        telemetry: gets each decision. ``answered`` and ``deferred`` add up to the requests that the edge
            model may see; those of a model, version or region that it does not serve, those of a sequence,
            and those that it refuses as invalid, are in neither; ``uncertified`` follows a ``deferred``
            that the edge had to answer after all.
    """

    def __init__(
        self,
        edge: Service,
        licences: Mapping[str, Permission],
        *,
        on_central_down: OnCentralDown,
        region: str,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._edge = edge
        self._licences = dict(licences)
        self._serves_edge = on_central_down == "serve_edge"
        self._region = region
        self._clock = clock
        self._telemetry = telemetry

    def __repr__(self) -> str:
        fallback = "serve_edge" if self._serves_edge else "fail"
        return f"<Cascade {list(self._licences.values())} on_central_down={fallback}>"

    def __call__(self, request: Request, service: Service) -> Response | Pending:
        """Answer from the edge or from ``service``; at once where the edge can.

        Raises:
            GatewayError: INVALID as soon as the edge sees it; UNAVAILABLE when neither tier can answer;
                whatever else the service raises.
        """
        licence = self._licences.get(request.model)
        if licence is None or (request.regions is not None and self._region not in request.regions):
            return service(request)
        if request.parameters and SEQUENCE in request.parameters:
            return service(request)
        names = licence.served(request.outputs)
        if barred := _barred(request, licence, names):
            return self._defer(request, service, licence, None, barred)
        try:
            answered = self._edge_answer(request)
        except GatewayError as error:
            return self._decide(request, service, licence, None, _why(error))
        if not isinstance(answered, Response):
            return self._wait(request, service, licence, answered)
        spare, reason = _judged(answered, names or (), licence, request.version)
        return self._decide(request, service, licence, spare, reason)

    async def _wait(self, request: Request, service: Service, licence: Permission, edge: Pending) -> Response:
        names = licence.served(request.outputs) or ()
        try:
            answer = await edge
        except GatewayError as error:
            spare, reason = None, _why(error)
        else:
            spare, reason = _judged(answer, names, licence, request.version)
        return await self._decide(request, service, licence, spare, reason)

    def _decide(
        self, request: Request, service: Service, licence: Permission, spare: Response | None, reason: str
    ) -> Response | Pending:
        if reason == _ABSENT:
            return service(request)
        if reason != _CONFIDENT:
            return self._defer(request, service, licence, spare, reason)
        self._telemetry.emit(CascadeDecided(request.model, "answered", reason))
        assert spare is not None
        return spare

    async def _defer(
        self, request: Request, service: Service, licence: Permission, spare: Response | None, reason: str
    ) -> Response:
        self._telemetry.emit(CascadeDecided(request.model, "deferred", reason))
        try:
            early = spare is not None or reason in _EDGE_NOT_RUN
            answer = await self._central_answer(request, service, early=early)
        except GatewayError as error:
            if not _is_down(error):
                raise
            return await self._without_central(request, spare, error, was_run=reason not in _EDGE_NOT_RUN)
        licence.compare(answer, request.version)
        if (
            answer.provenance.certified
            and licence.is_valid(request.version)
            and not is_finite(answer.outputs)
        ):
            # The certificate compares numbers, and nothing compares with these.
            return _signed(answer, answer.outputs, certified=False)
        return answer

    def _edge_answer(self, request: Request) -> Response | Pending:
        # The score may be in an output that the client does not want.
        return self._edge(replace(request, outputs=()) if request.outputs else request)

    async def _central_answer(self, request: Request, service: Service, *, early: bool) -> Response:
        """Return the service's answer; ``early``: with time left for the edge, should central stay silent."""
        if not early or not self._serves_edge or request.deadline == math.inf:
            return await service(request)
        left_s = max(0.0, request.deadline - self._clock.now())
        sooner = request.deadline - min(_MOST_RESERVED_S, _SHARE_RESERVED * left_s)
        await in_task()
        scope = asyncio.timeout_at(sooner)
        try:
            async with scope:
                return await service(replace(request, deadline=sooner))
        except TimeoutError as error:
            if not scope.expired():
                raise
            raise GatewayError(Fault.DEADLINE, "the central tier did not answer in time") from error

    async def _without_central(
        self, request: Request, spare: Response | None, error: GatewayError, *, was_run: bool
    ) -> Response:
        if not self._serves_edge:
            raise _unavailable(request, error)
        if not was_run:
            spare = await self._second_best(request, error)
        if spare is None:
            raise error
        self._telemetry.emit(CascadeDecided(request.model, "uncertified", str(error.fault)))
        return spare

    async def _second_best(self, request: Request, error: GatewayError) -> Response | None:
        """Run the edge model now: without a licence it was not run before."""
        try:
            answer = await self._edge_answer(request)
        except GatewayError as second:
            if second.fault is Fault.INVALID and second.why is None:
                raise
            raise error from second
        chosen = _chosen(answer, request.outputs)
        return None if chosen is None else _signed(answer, chosen, certified=False)


def _barred(request: Request, licence: Permission, names: tuple[str, ...] | None) -> str:
    """Return in one word why the edge model is not run; empty: it is."""
    if not licence.is_valid(request.version):
        return _REFUSED
    if names is None or (request.classes and not licence.classifies(request.classes)):
        return _UNDECIDED
    # The sample was run without parameters and headers: what a model would make of one is not known.
    if request.output_parameters or request.headers or any(tensor.parameters for tensor in request.inputs):
        return _UNSEEN
    if request.parameters and not IGNORED_PARAMETERS.issuperset(request.parameters):
        return _UNSEEN
    return "" if licence.fits(request) else _UNSEEN


def _why(error: GatewayError) -> str:
    """Return in one word why the edge has no answer; raise what is the request's own fault."""
    if error.fault is Fault.NOT_FOUND:
        return _ABSENT
    if error.fault is Fault.INVALID and error.why is not None:
        # The run failed on these values: central's artefact is another, and decides.
        return "edge_failed"
    if error.fault not in _EDGE_IS_ILL:
        raise error
    return f"edge_{error.fault}"


def _judged(
    answer: Response, names: tuple[str, ...], licence: Permission, version: str
) -> tuple[Response | None, str]:
    """Return the edge's answer with the outputs ``names``, as it would go out, and its worth in one word."""
    chosen = _chosen(answer, names)
    if chosen is None:
        return None, "outputs"
    # Checked again: central may have started to serve another model while the edge was running.
    certified = licence.is_valid(version) and licence.covers(answer)
    return _signed(answer, chosen, certified=certified), _CONFIDENT if certified else "unsure"


def _is_down(error: GatewayError) -> bool:
    """Whether central failed, and not the client: a 4xx of central's passes through."""
    if error.fault is Fault.INTERNAL:
        return error.counts or error.why is not None
    return error.fault in _CENTRAL_IS_DOWN


def _unavailable(request: Request, error: GatewayError) -> GatewayError:
    if error.fault in {Fault.OVERLOADED, Fault.DEADLINE}:
        return error
    return GatewayError(
        Fault.UNAVAILABLE,
        f"the edge model of '{request.model}' may not answer this request by itself, "
        f"and the central tier cannot: {error.message}",
        retryable=error.retryable,
        retry_after_s=error.retry_after_s,
    )


def _chosen(answer: Response, names: tuple[str, ...]) -> tuple[Tensor, ...] | None:
    """Return the outputs ``names``, in that order, or all; None when the edge lacks one."""
    if not names:
        return answer.outputs
    outputs = {output.name: output for output in answer.outputs}
    if not outputs.keys() >= set(names):
        return None
    return tuple(outputs[name] for name in names)


def _signed(answer: Response, outputs: tuple[Tensor, ...], *, certified: bool) -> Response:
    return Response(
        answer.model,
        answer.version,
        outputs,
        replace(answer.provenance, certified=certified),
        answer.parameters,
    )


_: type[Filter] = Cascade
