"""What the breakers of members mean for their endpoint: it is out when all of them are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from gateway.core.telemetry import BreakerChanged, Event, Telemetry

PoolState = Callable[[str], str]
"""Returns the state of an endpoint in force: that of the member that is best off."""


class MemberStates:
    """Makes the events of endpoints of those of their members.

    Endpoints are in the metrics under their own names, however many members they have: ``open`` when all of
    these are. A model is held to fail at an endpoint while it fails at one of its members.
    """

    def __init__(self, telemetry: Telemetry, state_of: PoolState, changed: Callable[[str], None]) -> None:
        self._telemetry, self._state_of, self._changed = telemetry, state_of, changed
        self._states: dict[str, str] = {}
        self._failing: defaultdict[tuple[str, str], set[str]] = defaultdict(set)

    def __repr__(self) -> str:
        return f"<MemberStates {self._states}>"

    def of_member(self, endpoint: str, label: str, let_in: Callable[[], None]) -> Telemetry:
        """Return what the breakers of a member report to; ``let_in``: called when it gets requests again."""
        return _OfMember(self, endpoint, label, let_in)

    def begin(self, endpoint: str, *, is_new: bool) -> None:
        """Take note that an endpoint came into use; ``is_new``: its members did as well."""
        if is_new:
            self._states[endpoint] = "closed"
        self.compare(endpoint, "")

    def forget(self, endpoint: str) -> None:
        """Take note that no policy in force names an endpoint any more."""
        self._states.pop(endpoint, None)
        for key in [key for key in self._failing if key[0] == endpoint]:
            del self._failing[key]

    def leave(self, endpoint: str, label: str) -> None:
        """Take note that a member has gone, and its failures with it."""
        for (name, model), labels in list(self._failing.items()):
            if name == endpoint and label in labels:
                self._note_model(BreakerChanged(name, "closed", model=model), endpoint, label)
        self.compare(endpoint, "")

    def compare(self, endpoint: str, reason: str) -> None:
        """Report the state of an endpoint if it is another than before."""
        state = self._state_of(endpoint)
        if endpoint in self._states and state != self._states[endpoint]:
            self._states[endpoint] = state
            self._telemetry.emit(BreakerChanged(endpoint, state, reason if state != "closed" else ""))

    def note(self, event: Event, endpoint: str, label: str) -> None:
        """Take note of what a member's breaker reports."""
        if not isinstance(event, BreakerChanged):
            self._telemetry.emit(event)
        elif event.model:
            self._note_model(event, endpoint, label)
        else:
            if event.state == "open":
                self._changed(endpoint)
            self.compare(endpoint, event.reason)

    def _note_model(self, event: BreakerChanged, endpoint: str, label: str) -> None:
        key = (endpoint, event.model)
        before = bool(self._failing.get(key))
        if event.state == "closed":
            self._failing[key].discard(label)
        else:
            self._failing[key].add(label)
        after = bool(self._failing[key])
        if not after:
            del self._failing[key]
        if after or before:
            state = event.state if after == (event.state != "closed") else "open"
            if before != after or event.state != "closed":
                self._telemetry.emit(BreakerChanged(endpoint, state, event.reason, event.model))


class _OfMember:
    def __init__(self, states: MemberStates, endpoint: str, label: str, let_in: Callable[[], None]) -> None:
        self._states, self._endpoint, self._label, self._let_in = states, endpoint, label, let_in

    def __repr__(self) -> str:
        return f"<telemetry of {self._label}>"

    def emit(self, event: Event) -> None:
        if isinstance(event, BreakerChanged) and event.state == "half_open" and not event.model:
            self._let_in()
        self._states.note(event, self._endpoint, self._label)
