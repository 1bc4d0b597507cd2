"""What an HTTP/2 connection has to send and cannot."""

from __future__ import annotations

from gateway.listeners.transport.http2_out import Unsent


def test_what_moves_is_not_stuck():
    queued = {1: 100, 3: 100, 5: 0}
    unsent = Unsent(lambda number: queued.get(number, 0))
    for number in (1, 3, 5):
        unsent.note(number, 0.0)
    assert unsent and repr(unsent) == "<Unsent 2 streams>"

    queued[3] = 50
    assert unsent.stuck(10.0, 20.0) == []
    assert unsent.stuck(21.0, 20.0) == [1]
    assert unsent.stuck(21.0, 20.0) == [], "it is told once"
    assert unsent.stuck(31.0, 20.0) == [3], "from when it moved last"
    assert not unsent


def test_what_is_out_is_forgotten():
    queued = {1: 100}
    unsent = Unsent(lambda number: queued[number])
    unsent.note(1, 0.0)
    queued[1] = 0
    assert unsent.stuck(100.0, 1.0) == []
    assert not unsent
