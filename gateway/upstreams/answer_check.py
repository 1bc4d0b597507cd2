"""The filter directly around an endpoint: an answer that is not the model's is its failure, and no answer."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from gateway.core.answer_check import fitted, flaw, misfit
from gateway.core.catalog import Catalog, ModelSpec
from gateway.core.clock import Clock
from gateway.core.errors import GatewayError
from gateway.core.request import Request, Response
from gateway.core.service import Filter, Service
from gateway.upstreams.failures import Failures

LEARNED_S: Final = 60.0
"""Seconds for which a signature holds; a model may be replaced under its name."""

LEARN_AGAIN_S: Final = 1.0
"""Seconds between two questions about one model, if its answers contradict what is known of it."""

_MAX_MODELS: Final = 256

_Name = tuple[str, str]

_log = logging.getLogger("edgeway.upstreams")


class _Known:
    """What is known of one model at the endpoint; ``spec`` None: nothing. ``is_heard``: it was asked once."""

    __slots__ = ("asked_at", "is_heard", "spec")

    def __init__(self) -> None:
        self.spec: ModelSpec | None = None
        self.asked_at = 0.0
        self.is_heard = False


class AnswerCheck:
    """Compares each answer with its request and with the signature that the endpoint itself declares.

    Signatures are learned beside the answers, which never wait for one: until it is known, or where the
    endpoint has no metadata, an answer is compared with its request alone. An answer that contradicts the
    signature is compared with a new one before it is refused.

    Args:
        name: of the endpoint.
        catalog: what to ask about the models there; None: nothing, because it would ask others in its turn.
        clock: the clock of what is known.
    """

    def __init__(self, name: str, catalog: Catalog | None, clock: Clock) -> None:
        self._failures = Failures(name)
        self._name, self._catalog, self._clock = name, catalog, clock
        self._known: dict[_Name, _Known] = {}
        self._learning: dict[_Name, asyncio.Task[None]] = {}

    def __repr__(self) -> str:
        known = sum(known.spec is not None for known in self._known.values())
        return f"<AnswerCheck of {self._name}, {known} signatures>"

    def signature(self, model: str, version: str) -> ModelSpec | None:
        """Return what is known of a model; ask the endpoint where nothing is, or for too long."""
        name = (model, version)
        known = self._known.get(name)
        if self._catalog is not None and (known is None or self._clock.now() >= known.asked_at + LEARNED_S):
            _ = self._learn(name, self._catalog)
        return known.spec if known else None

    def knows(self, model: str, version: str) -> bool:
        """Whether something is known of a model; reading it asks nobody."""
        known = self._known.get((model, version))
        return known is not None and known.spec is not None

    def is_first_question(self, model: str, version: str) -> bool:
        """Whether the endpoint is being asked about a model for the first time."""
        known = self._known.get((model, version))
        return known is not None and not known.is_heard

    async def __call__(self, request: Request, service: Service) -> Response:
        """Answer as the endpoint does.

        Raises:
            GatewayError: for an answer that is not the model's; where it contradicts the model's signature,
                it is evidence against the model at this endpoint.
        """
        response = await service(request)
        if why := misfit(response, request):
            raise self._failures.misfit(why)
        response = fitted(response, request)
        why = self._flaw(response, request)
        if why and await self._is_certain((request.model, request.version)):
            why = self._flaw(response, request)
        if why:
            raise self._failures.broken(why)
        return response

    async def aclose(self) -> None:
        """Ask no more."""
        tasks = list(self._learning.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _flaw(self, response: Response, request: Request) -> str:
        spec = self.signature(request.model, request.version)
        return flaw(response, spec, selected=bool(request.outputs))

    async def _is_certain(self, name: _Name) -> bool:
        """Learn a signature anew that an answer contradicts, unless that was done a moment ago."""
        learning, known = self._learning.get(name), self._known.get(name)
        if learning is None:
            if self._catalog is None or known is None or self._clock.now() < known.asked_at + LEARN_AGAIN_S:
                return False
            learning = self._learn(name, self._catalog)
        # Others may wait for the same question: one that leaves does not end it.
        await asyncio.shield(learning)
        return True

    def _learn(self, name: _Name, catalog: Catalog) -> asyncio.Task[None]:
        task = self._learning.get(name)
        if task is None:
            if name not in self._known and len(self._known) >= _MAX_MODELS:
                # Clients may invent names.
                del self._known[next(iter(self._known))]
            known = self._known.setdefault(name, _Known())
            known.asked_at = self._clock.now()
            task = self._learning[name] = asyncio.create_task(self._ask(name, catalog, known))
            task.add_done_callback(lambda _: self._learning.pop(name, None))
        return task

    async def _ask(self, name: _Name, catalog: Catalog, known: _Known) -> None:
        try:
            spec = await catalog.describe(*name)
        except GatewayError:
            # It has no metadata, or none now; what was known of the model may have changed as well.
            known.spec = None
            return
        except Exception:  # noqa: BLE001 - whatever it is, answers go on
            known.spec = None
            _log.exception("endpoint %s: the metadata of a model cannot be read", self._name)
            return
        finally:
            known.is_heard = True
        known.spec = spec


_: type[Filter] = AnswerCheck
