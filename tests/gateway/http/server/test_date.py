"""The Date header."""

from __future__ import annotations

from gateway.core.clock import Clock
from gateway.http.server.date import DateClock


class Wall(Clock):
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.time = 784_111_777.0

    def wall(self) -> float:
        return self.time

    def now(self) -> float:
        raise AssertionError

    async def sleep(self, _seconds: float) -> None:
        raise AssertionError


def test_the_date_is_that_of_the_last_update():
    """In the form of RFC 9110, to the second."""
    wall = Wall()
    date = DateClock(wall)
    assert date.value == b"Sun, 06 Nov 1994 08:49:37 GMT"
    assert repr(date) == "<DateClock Sun, 06 Nov 1994 08:49:37 GMT>"
    wall.time += 0.5
    assert not date.update()
    wall.time += 0.5
    assert date.value.endswith(b":37 GMT")
    assert date.update()
    assert date.value.endswith(b":38 GMT")
