"""Negative answers: an endpoint's verdict that certain inputs cannot be answered, kept for a moment.

The same bytes would be refused again, so the endpoint need not see them again. Only errors that are born as
``Why.of_input`` are kept: a 400 or 422, an INVALID_ARGUMENT or OUT_OF_RANGE that an endpoint has
answered. Those of authentication, limits, deadlines, outages and unknown models say nothing about the inputs.
They are kept in this process alone, apart from the answers and in a small budget of their own, under the key
that an answer would have: what one tenant was refused, no other finds.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from gateway.core.cache_control import CacheDirectives
from gateway.core.cache_events import CacheLookedUp
from gateway.core.cache_levels import L1
from gateway.core.clock import Clock
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Request, Response
from gateway.core.service import Filter, Pending, Service
from gateway.core.telemetry import Telemetry

NEGATIVE_ANSWER_BYTES: Final = 500
"""What a kept verdict takes beside its message: its key, its place in the dict, its fields."""

MAX_MESSAGE_CHARS: Final = 2048
_BYTES_A_CHAR: Final = 4


class NegativeAnswer(NamedTuple):
    """An endpoint's refusal of certain inputs. ``born`` and ``expiry`` are steady seconds."""

    model: str
    fault: Fault
    message: str
    born: float
    expiry: float

    @property
    def size(self) -> int:
        """What it takes in memory, at most."""
        return NEGATIVE_ANSWER_BYTES + _BYTES_A_CHAR * (len(self.message) + len(self.model))


class NegativeAnswers:
    """Those that this process keeps, in ``max_bytes`` for all routes together; the oldest go first."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._by_key: dict[bytes, NegativeAnswer] = {}
        self._bytes = 0

    def __repr__(self) -> str:
        return f"<NegativeAnswers {len(self._by_key)} in {self._bytes} of {self._max_bytes} bytes>"

    def __len__(self) -> int:
        """Return their number."""
        return len(self._by_key)

    @property
    def taken_bytes(self) -> int:
        """Bytes now taken."""
        return self._bytes

    def get(self, key: bytes, now: float) -> NegativeAnswer | None:
        """Return the verdict under ``key`` that is in force at steady time ``now``."""
        found = self._by_key.get(key)
        if found is not None and now >= found.expiry:
            self._drop(key)
            return None
        return found

    def put(self, key: bytes, verdict: NegativeAnswer) -> None:
        """Keep ``verdict``; one that is larger than all the room there is is not kept."""
        self._drop(key)
        if verdict.size > self._max_bytes:
            return
        self._by_key[key] = verdict
        self._bytes += verdict.size
        while self._bytes > self._max_bytes:
            self._drop(next(iter(self._by_key)))

    def delete(self, key: bytes) -> None:
        """Forget what is kept under ``key``."""
        self._drop(key)

    def forget(self, model: str) -> None:
        """Forget those of ``model``."""
        for key in [key for key, verdict in self._by_key.items() if verdict.model == model]:
            self._drop(key)

    def _drop(self, key: bytes) -> None:
        dropped = self._by_key.pop(key, None)
        if dropped is not None:
            self._bytes -= dropped.size


class NegativeCache:
    """Refuses again, without asking, what an endpoint has refused within ``ttl_s``.

    It stands below the look-up, whose key it goes by, and above the flights.
    """

    def __init__(self, verdicts: NegativeAnswers, ttl_s: float, clock: Clock, telemetry: Telemetry) -> None:
        self._verdicts, self._ttl_s = verdicts, ttl_s
        self._steady, self._emit = clock.steady, telemetry.emit
        self._negative = CacheLookedUp(L1, "negative")

    def __repr__(self) -> str:
        return f"<NegativeCache for {self._ttl_s:g} s, {self._verdicts!r}>"

    def __call__(self, request: Request, service: Service) -> Response | Pending:
        """Raise the error that is kept for the request, else answer from ``service``."""
        if not request.key:
            return service(request)
        found, now = self._verdicts.get(request.key, self._steady()), self._steady()
        # Another route, or the policy before, may have kept it for longer.
        is_its = found is not None and now - found.born < self._ttl_s
        if found is not None and is_its and _may_answer(found, request.cache_control, now):
            self._emit(self._negative)
            raise GatewayError(found.fault, found.message)
        return self._ask(request, service)

    async def _ask(self, request: Request, service: Service) -> Response:
        try:
            response = await service(request)
        except GatewayError as error:
            if _is_kept(error, request):
                now = self._steady()
                verdict = NegativeAnswer(request.model, error.fault, error.message, now, now + self._ttl_s)
                self._verdicts.put(request.key, verdict)
            raise
        # A client that had it computed anew knows better.
        self._verdicts.delete(request.key)
        return response


def _may_answer(verdict: NegativeAnswer, control: CacheDirectives | None, now: float) -> bool:
    if control is None:
        return True
    is_new = control.no_cache or control.is_refresh
    return not is_new and now - verdict.born <= control.max_age_s


def _is_kept(error: GatewayError, request: Request) -> bool:
    if (
        error.why is None
        or not error.why.of_input
        or error.retryable
        or len(error.message) > MAX_MESSAGE_CHARS
    ):
        return False
    # Servers name the request in what they say of it; the next one has another id.
    return not request.id or request.id not in error.message


_: type[Filter] = NegativeCache
