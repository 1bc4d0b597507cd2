"""Members of endpoints in the metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from gateway.telemetry.members import MOST, MemberRow, Members


def rendered(*rows: MemberRow) -> list[str]:
    registry = CollectorRegistry()
    registry.register(Members(lambda: rows))
    return generate_latest(registry).decode().splitlines()


def row(number: int = 1, **changes) -> MemberRow:
    known = {
        "state": "closed",
        "is_drained": False,
        "active": 2,
        "latency_s": 0.004,
        "requests": 9,
        "failures": 1,
    }
    return MemberRow(**{"endpoint": "central", "member": f"10.0.0.{number}:80", **known, **changes})


def test_each_member_has_its_series() -> None:
    """State, load and counts, by endpoint and member."""
    lines = rendered(row(), row(2, state="open", is_drained=True))

    one, two = (f'{{endpoint="central",member="10.0.0.{number}:80"}}' for number in (1, 2))
    assert f"edgeway_member_state{one} 0.0" in lines
    assert f"edgeway_member_state{two} 2.0" in lines
    assert f"edgeway_member_drained{two} 1.0" in lines
    assert f"edgeway_member_active{one} 2.0" in lines
    assert f"edgeway_member_latency_seconds{one} 0.004" in lines
    assert f"edgeway_member_requests_total{one} 9.0" in lines
    assert f"edgeway_member_failures_total{two} 1.0" in lines


def test_series_are_bounded() -> None:
    """Of many members the first have series of their own, the others a sum."""
    lines = rendered(*(row(number) for number in range(MOST + 100)))

    counted = [line for line in lines if line.startswith("edgeway_member_requests_total")]
    assert len(counted) == MOST + 1
    assert 'edgeway_member_requests_total{endpoint="other",member="other"} 900.0' in counted


def test_without_members_there_are_no_series() -> None:
    """A central tier has none."""
    assert [line for line in rendered() if not line.startswith("#")] == []
    assert repr(Members(list)) == "<Members 0>"


def test_models_are_counted_where_they_are_known() -> None:
    """None is another thing than not known."""
    lines = rendered(row(), row(2, num_models=0), row(3, num_models=7))

    assert [line for line in lines if line.startswith("edgeway_member_models{")] == [
        'edgeway_member_models{endpoint="central",member="10.0.0.2:80"} 0.0',
        'edgeway_member_models{endpoint="central",member="10.0.0.3:80"} 7.0',
    ]
