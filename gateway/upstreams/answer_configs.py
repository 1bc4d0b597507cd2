"""What an endpoint's model configurations say of its answers, read beside the requests."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from gateway.core.catalog import RemoteCatalog
from gateway.core.clock import Clock
from gateway.core.errors import Fault, GatewayError, printable
from gateway.wire.oip.configured_answers import (
    NOTHING_CONFIGURED,
    ConfiguredAnswers,
    read_configured_answers,
)

KNOWN_S: Final = 60.0
"""Seconds for which a configuration holds; a model may be replaced under its name."""

AGAIN_S: Final = 1.0
"""Seconds between two questions about one model while none was answered."""

WAIT_S: Final = 1.0
"""Seconds that a request waits for a configuration, once for each model."""

_MAX_MODELS: Final = 256
_MAX_READING: Final = 16
_ABSENT: Final = frozenset({Fault.NOT_FOUND, Fault.UNSUPPORTED, Fault.INVALID, Fault.TOO_LARGE})
_UNREAD: Final = frozenset({"protocol", "not_let_in"})

Forget = Callable[[str], Awaitable[None]]

_log = logging.getLogger("edgeway.upstreams")


def has_no_configuration(error: GatewayError) -> bool:
    """Whether a server may have a model and no configuration of it: KServe's and MLServer's have none.

    Nor is there one that this gateway may not see, or that it does not read: the answer is there and would be
    the same again. One that was lost on the way is asked for again.
    """
    if error.fault is Fault.UNAVAILABLE:
        return error.why is not None and error.why.answered and error.why.reason in _UNREAD
    return error.fault in _ABSENT


class _Known:
    """What is known of one model, when it was last asked for, and whether an answer to that has come.

    ``in_vain``: the question for whose answer a request has waited too long.
    """

    __slots__ = ("answers", "asked_at", "in_vain", "is_heard")

    def __init__(self) -> None:
        self.answers = NOTHING_CONFIGURED
        self.asked_at = 0.0
        self.is_heard = False
        self.in_vain: asyncio.Task[None] | None = None


class AnswerConfigs:
    """Reads the configuration of models that have answered, at most once in KNOWN_S each.

    Args:
        name: of the endpoint.
        catalog: what to ask; None: nothing, because it would ask others in its turn.
        clock: the clock of what is known.
        forget: forgets all answers of a model that are kept in this process; called when its answers turn
            out to be such as may not be kept.
    """

    def __init__(self, name: str, catalog: RemoteCatalog | None, clock: Clock, forget: Forget) -> None:
        self._name, self._catalog, self._clock, self._forget = name, catalog, clock, forget
        self._known: dict[str, _Known] = {}
        self._reading: dict[str, asyncio.Task[None]] = {}

    def __repr__(self) -> str:
        forbidden = sum(not known.answers.may_be_kept for known in self._known.values())
        return f"<AnswerConfigs of {self._name}, {len(self._known)} models, {forbidden} not to be kept>"

    def known(self, model: str) -> ConfiguredAnswers:
        """Return what is known of a model's answers; what is known for too long is read again."""
        known = self._known.get(model)
        if known is None:
            return NOTHING_CONFIGURED
        self._renew(model, known)
        return known.answers

    def learn(self, model: str) -> ConfiguredAnswers:
        """Return what is known of a model that has just answered, and have it read where nothing is."""
        if self._catalog is None:
            return NOTHING_CONFIGURED
        known = self._known.get(model)
        if known is None:
            if len(self._known) >= _MAX_MODELS:
                self._drop_one()
            known = self._known[model] = _Known()
            known.asked_at = self._clock.now() - KNOWN_S
        self._renew(model, known)
        return known.answers

    async def wait(self, model: str) -> ConfiguredAnswers:
        """Return what is known of a model; where nothing is, wait a moment for it.

        Only for requests that cannot be sent as they are meant without it.
        """
        answers = self.learn(model)
        known, reading = self._known.get(model), self._reading.get(model)
        if known is None or known.is_heard or reading is None or reading is known.in_vain:
            return answers
        try:
            # Others may wait for it as well: one that leaves does not end it.
            await asyncio.wait({reading}, timeout=WAIT_S)
        finally:
            if not reading.done():
                known.in_vain = reading
        return known.answers

    def is_heard(self, model: str) -> bool:
        """Whether the endpoint has answered for a model; one that is not asked counts as if it had."""
        if self._catalog is None:
            return True
        known = self._known.get(model)
        return known is not None and known.is_heard

    async def aclose(self) -> None:
        """Ask no more."""
        tasks = list(self._reading.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _drop_one(self) -> None:
        """Forget a model of which nothing is known that matters, or the oldest: clients may invent names."""
        plain = (name for name, known in self._known.items() if known.answers == NOTHING_CONFIGURED)
        del self._known[next(plain, next(iter(self._known)))]

    def _renew(self, model: str, known: _Known) -> None:
        now = self._clock.now()
        due = known.asked_at + (KNOWN_S if known.is_heard else AGAIN_S)
        is_busy = model in self._reading or len(self._reading) >= _MAX_READING
        if self._catalog is None or is_busy or now < due:
            return
        known.asked_at = now
        task = self._reading[model] = asyncio.create_task(self._read(model, known, self._catalog))
        task.add_done_callback(lambda _: self._reading.pop(model, None))

    async def _read(self, model: str, known: _Known, catalog: RemoteCatalog) -> None:
        before = known.answers
        try:
            known.answers = read_configured_answers(await catalog.config(model, ""))
            known.is_heard = True
        except GatewayError as error:
            if error.fault in _ABSENT:
                known.answers = NOTHING_CONFIGURED
            # Else what was known holds: it cannot be asked now.
            known.is_heard = known.is_heard or has_no_configuration(error)
        except Exception:  # noqa: BLE001 - whatever it is, answers go on
            _log.exception("endpoint %s: the configuration of a model cannot be read", self._name)
        if before.may_be_kept and not known.answers.may_be_kept:
            _log.info(
                "endpoint %s: the configuration of model %s has a response_cache that is not enabled: "
                "no answer of it is kept",
                self._name,
                printable(model),
            )
            await self._forget(model)
