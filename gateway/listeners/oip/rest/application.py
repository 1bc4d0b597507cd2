"""The REST side of the protocol as an Application: which path is answered by whom, errors included."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Final

from gateway.core.eager import in_task
from gateway.core.errors import Fault, GatewayError
from gateway.core.service import Generation
from gateway.core.telemetry import Refused
from gateway.core.tensor import Buffer
from gateway.http.exchange import Answer, AnyAnswer, Application, BodyPolicy, Head, PendingAnswer
from gateway.listeners.oip.data_plane import DataPlane
from gateway.listeners.oip.extensions import Extensions
from gateway.listeners.oip.model_control import ModelControl
from gateway.listeners.oip.rest.generate import Generate
from gateway.listeners.oip.rest.infer import Infer
from gateway.listeners.oip.rest.management import Management
from gateway.listeners.oip.rest.metadata import Metadata
from gateway.listeners.oip.rest.responses import Refusal, Responses
from gateway.wire.oip.paths import METHODS, Ask, Target, read_path

Call = Callable[[Head, Target, bytes, Generation], Awaitable[AnyAnswer]]

_log = logging.getLogger(__name__)

_PATHS: Final = 1024
_LONGEST_PATH: Final = 256
_TARGET: Final = "rest"
_SMALL_BODY: Final = 1 << 20
_LARGE: Final = frozenset({Ask.INFER, Ask.GENERATE, Ask.GENERATE_STREAM})
_ADMIN: Final = {Ask.LOAD: "loading models", Ask.UNLOAD: "unloading models"}


class RestApplication(Application):
    """Answers the paths of the Open Inference Protocol over HTTP."""

    def __init__(self, front: DataPlane, extensions: Extensions | None = None) -> None:
        extensions = extensions or Extensions()
        self._front, self._extensions = front, extensions
        self._answers = Responses(front.region, extensions.settings.compress_from_bytes)
        self._infer = infer = Infer(front, self._answers, extensions.settings)
        self._calls = _calls(front, self._answers, infer, extensions)
        large, small = BodyPolicy(front.max_body_bytes), BodyPolicy(min(_SMALL_BODY, front.max_body_bytes))
        self._intakes = {ask: large if ask in _LARGE else small for ask in Ask}
        # Paths repeat; the bounds keep a flood of new ones from growing this.
        self._target = lru_cache(_PATHS)(read_path)

    def __repr__(self) -> str:
        return f"<RestApplication of {self._front.region}>"

    def open(self, head: Head) -> BodyPolicy | Answer:
        """Refuse unknown paths and methods; else say how large a body may be."""
        target: Target | None = head.notes.get(_TARGET)
        if target is None:
            target = self._find(head.path)
            if target is None:
                return self._refused(Refusal(404, "Not Found"))
            allowed = METHODS[target.ask]
            if head.method not in allowed:
                allow = (b"allow", ", ".join(allowed).encode())
                return self._refused(Refusal(405, "Method Not Allowed", allow))
            head.notes[_TARGET] = target
        # Before a body is read: under overload a refusal must cost nothing.
        if target.ask in _LARGE:
            if full := self._front.refuse_when_full(target.model, target.version):
                return self._answers.error(full, self._front.generation().number)
        elif target.ask in _ADMIN and (refusal := self._forbidden(_ADMIN[target.ask])):
            return refusal
        return self._intakes[target.ask]

    def answer(self, head: Head, body: Buffer) -> AnyAnswer | PendingAnswer:
        """Answer a request that ``open`` let pass."""
        generation = self._front.generation()
        target: Target = head.notes[_TARGET]
        if target.ask is not Ask.INFER:
            return self._wait(self._ask(head, target, bytes(body), generation), generation)
        try:
            answered = self._infer(head, target, body, generation)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer
            return self._failed(error, generation)
        return answered if isinstance(answered, Answer) else self._wait(answered, generation)

    async def _wait(self, pending: PendingAnswer, generation: Generation) -> AnyAnswer:
        try:
            return await pending
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer
            return self._failed(error, generation)

    async def _ask(self, head: Head, target: Target, body: bytes, generation: Generation) -> AnyAnswer:
        # Questions may ask other servers, which wants a task.
        await in_task()
        return await self._calls[target.ask](head, target, body, generation)

    def _failed(self, error: Exception, generation: Generation) -> Answer:
        """Render what went wrong: an answer, and never a traceback."""
        if isinstance(error, Refusal):
            self._front.telemetry.emit(Refused("http", str(error.status)))
            return self._answers.refusal(error, generation.number)
        if not isinstance(error, GatewayError):
            _log.error("an HTTP request failed unexpectedly", exc_info=error)
            error = GatewayError(Fault.INTERNAL, "internal error")
        return self._answers.error(error, generation.number)

    def refuse(self, head: Head | None, status: int, message: str) -> Answer:  # noqa: ARG002 - the seam's
        """Render a refusal of the connection's own."""
        return self._refused(Refusal(status, message))

    def _forbidden(self, what: str) -> Answer | None:
        """Refuse a stranger before the body is read."""
        try:
            self._extensions.check_admin(what)
        except GatewayError as error:
            return self._answers.error(error, self._front.generation().number)
        return None

    def _find(self, path: str) -> Target | None:
        return self._target(path) if len(path) <= _LONGEST_PATH else read_path(path)

    def _refused(self, refusal: Refusal) -> Answer:
        self._front.telemetry.emit(Refused("http", str(refusal.status)))
        return self._answers.refusal(refusal, self._front.generation().number)


def _calls(front: DataPlane, answers: Responses, infer: Infer, extensions: Extensions) -> dict[Ask, Call]:
    tell, generate = Metadata(front, answers), Generate(front, answers, infer)
    manage = Management(ModelControl(front, extensions), answers)
    return {
        Ask.SERVER: tell.server,
        Ask.LIVE: tell.live,
        Ask.READY: tell.ready,
        Ask.MODEL: tell.model,
        Ask.MODEL_READY: tell.model_ready,
        Ask.MODELS: manage.models,
        Ask.CONFIG: manage.config,
        Ask.STATISTICS: manage.statistics,
        Ask.INDEX: manage.index,
        Ask.LOAD: manage.load,
        Ask.UNLOAD: manage.unload,
        Ask.LOGGING: manage.logging,
        Ask.TRACING: manage.tracing,
        Ask.SHARED_MEMORY: manage.shared_memory,
        Ask.SHARE_MEMORY: manage.share_memory,
        Ask.GENERATE: generate.once,
        Ask.GENERATE_STREAM: generate.stream,
    }
