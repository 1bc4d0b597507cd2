"""What the breakers of members mean for their endpoint."""

from __future__ import annotations

from gateway.app.pools.member_states import MemberStates
from gateway.core.telemetry import BreakerChanged, RetryDenied
from tests.fakes.telemetry import RecordingTelemetry


class Endpoint:
    """An endpoint ``central`` whose members have these states."""

    def __init__(self, **states: str) -> None:
        self.states, self.telemetry, self.failed = states, RecordingTelemetry(), list[str]()
        self.let_in: list[str] = []
        self.reports = MemberStates(self.telemetry, lambda _: self.state, self.failed.append)
        self.reports.begin("central", is_new=True)

    @property
    def state(self) -> str:
        return min(self.states.values(), key=["closed", "half_open", "open"].index)

    def becomes(self, label: str, state: str, reason: str = "", model: str = "") -> None:
        if not model:
            self.states[label] = state
        self.reports.of_member("central", label, lambda: self.let_in.append(label)).emit(
            BreakerChanged(f"central/{label}", state, reason, model)
        )

    @property
    def events(self) -> list[tuple[str, str, str]]:
        return [(each.state, each.reason, each.model) for each in self.telemetry.of(BreakerChanged)]


def test_an_endpoint_is_out_when_all_its_members_are() -> None:
    """It is back with the first; whenever one goes out, its name is looked up."""
    endpoint = Endpoint(a="closed", b="closed")

    endpoint.becomes("a", "open", "timeout")
    assert endpoint.events == []
    endpoint.becomes("b", "open", "refused")
    endpoint.becomes("a", "half_open")
    endpoint.becomes("a", "closed")

    assert endpoint.events == [("open", "refused", ""), ("half_open", "", ""), ("closed", "", "")]
    assert {each.endpoint for each in endpoint.telemetry.of(BreakerChanged)} == {"central"}
    assert endpoint.failed == ["central", "central"]
    assert endpoint.let_in == ["a"]


def test_a_model_fails_at_the_endpoint_while_it_fails_at_one_member() -> None:
    """The first failure is one of the endpoint, the last recovery as well; a member that goes recovers nothing."""
    endpoint = Endpoint(a="closed", b="closed")

    endpoint.becomes("a", "open", "500", "digits")
    endpoint.becomes("b", "open", "500", "digits")
    endpoint.becomes("a", "closed", "", "digits")
    assert endpoint.events[-1] == ("open", "500", "digits")

    endpoint.reports.leave("central", "b")
    assert endpoint.events[-1] == ("closed", "", "digits")


def test_what_is_no_breakers_goes_on_unchanged() -> None:
    """Other events are passed on."""
    endpoint = Endpoint(a="closed")

    endpoint.reports.of_member("central", "a", list).emit(RetryDenied("budget"))

    assert endpoint.telemetry.of(RetryDenied) == [RetryDenied("budget")]


def test_an_endpoint_that_is_gone_is_reported_no_more() -> None:
    """Until it is in use again."""
    endpoint = Endpoint(a="closed")
    endpoint.reports.forget("central")

    endpoint.becomes("a", "open", "timeout")

    assert endpoint.events == []
