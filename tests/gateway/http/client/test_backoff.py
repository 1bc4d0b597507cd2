"""When an endpoint that could not be reached is tried again."""

from __future__ import annotations

from random import Random

from gateway.http.client.backoff import Backoff


class Most:
    """Chance that always draws the most."""

    def random(self) -> float:
        return 0.999

    def uniform(self, _a: float, b: float) -> float:
        return b


def test_waits_double_up_to_the_longest():
    """0.1, 0.2, 0.4 … 2 s are the most that may pass."""
    backoff = Backoff(0.1, 2.0, Most())
    waits = []
    for _ in range(70):
        backoff.failed(0.0)
        waits.append(backoff.until)

    assert waits[:6] == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0]
    assert set(waits[5:]) == {2.0}
    assert backoff.holds(1.9)
    assert not backoff.holds(2.0)
    assert (backoff.failures, repr(backoff)) == (70, "<Backoff after 70 failures>")


def test_jitter_is_full():
    """Gateways that failed together do not come back together: any moment is as likely."""
    waits = []
    for seed in range(200):
        backoff = Backoff(1.0, 1.0, Random(seed))
        backoff.failed(0.0)
        waits.append(backoff.until)

    assert min(waits) < 0.1
    assert max(waits) > 0.9
    assert 0.4 < sum(waits) / 200 < 0.6


def test_success_forgets():
    """After a success the row begins anew."""
    backoff = Backoff(1.0, 8.0, Most())
    backoff.failed(0.0)
    backoff.failed(0.0)
    backoff.succeeded()

    assert not backoff.holds(0.0)
    backoff.failed(0.0)
    assert backoff.failures == 1
