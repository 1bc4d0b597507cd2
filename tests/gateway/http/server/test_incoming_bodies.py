"""Who has to yield when the room for all is full."""

from __future__ import annotations

from gateway.http.server.address_limits import AddressLimits, Booking
from gateway.http.server.settings import TransportSettings

KIB = 1 << 10
ALL = {"max_buffered_percent_per_address": 100, "max_buffered_percent_of_strangers": 100}


class Body:
    """A body of which ``booked`` bytes have come; it notes that it was given up."""

    def __init__(self, booking: Booking, booked: int, progressed_at: float = 0.0) -> None:
        self.booking, self.booked, self.progressed_at = booking, booked, progressed_at
        self.is_over = False
        assert booking.take(booked, 0)
        booking.incoming.add(self, self.give_up)

    def give_up(self) -> None:
        self.is_over = True
        self.booking.give(self.booked)


def limits_of(**settings: int) -> AddressLimits:
    return AddressLimits(TransportSettings(max_buffered_mib=1, **settings))


def test_many_addresses_and_holders_cannot_shut_out_one_more():
    """Each within its share; the body that has come no further for the longest time yields."""
    limits = limits_of()
    bodies = [
        Body(limits.of(f"10.0.0.{number}").booking(f"tenant {number}"), 256 * KIB, 10.0 - number)
        for number in range(4)
    ]
    victim = limits.of("10.1.0.1").booking("victim")
    assert victim.take(100, 1000)
    assert [body.is_over for body in bodies] == [False, False, False, True]
    assert (limits.incoming.given_up, len(limits.incoming)) == (1, 3)
    assert victim.take(200 * KIB, 0), "it fits into what became free"
    assert limits.incoming.given_up == 1
    assert repr(limits.incoming) == "<IncomingBodies, 3 on their way, 1 given up>"


def test_who_has_most_yields_first():
    limits = limits_of(**ALL, max_buffered_percent_per_tenant=100)
    small = Body(limits.of("10.0.0.1").booking("small"), 300 * KIB)
    large = [Body(limits.of("10.0.0.2").booking("large"), 362 * KIB, float(at)) for at in (5, 3)]
    assert limits.of("10.0.0.3").booking("asker").take(10, 0)
    assert [small.is_over, *(body.is_over for body in large)] == [False, False, True]


def test_strangers_yield_to_who_is_known_and_not_the_other_way_round():
    """Even one who has less."""
    limits = limits_of(**ALL, max_buffered_percent_per_tenant=100)
    known = Body(limits.of("10.0.0.1").booking("known"), 800 * KIB)
    stranger = Body(limits.of("10.0.0.2").booking(), 224 * KIB)
    assert not limits.of("10.0.0.3").booking().take(300 * KIB, 0)
    assert not stranger.is_over, "nothing is given up in vain"
    assert limits.of("10.0.0.1").booking("known").take(100 * KIB, 0)
    assert (known.is_over, stranger.is_over) == (False, True)


def test_strangers_yield_to_strangers():
    """Within the share of all of them: one address does not shut out the others."""
    limits = limits_of(max_buffered_percent_of_strangers=50)
    bodies = [Body(limits.of(f"10.0.0.{number}").booking(), 256 * KIB) for number in range(2)]
    assert limits.of("10.0.0.3").booking().take(10, 0)
    assert sum(body.is_over for body in bodies) == 1
    assert not limits.of("10.0.0.0").booking().take(256 * KIB, 0), "nobody yields to who has as much"


def test_many_behind_one_address():
    """A proxy's, for example: one tenant does not have all of its share."""
    limits = limits_of()
    proxy = limits.of("10.0.0.1")
    greedy = [Body(proxy.booking("greedy"), 128 * KIB, float(at)) for at in (2, 1)]
    elsewhere = Body(limits.of("10.0.0.2").booking("third"), 256 * KIB)
    assert proxy.booking("modest").take(100 * KIB, 0)
    assert [*(body.is_over for body in greedy), elsewhere.is_over] == [False, True, False]
    assert not proxy.booking("greedy").take(100 * KIB, 0), "nobody yields to itself"


def test_nobody_yields_to_itself_or_to_who_has_as_much():
    limits = limits_of(max_buffered_percent_per_tenant=50, **ALL)
    one = Body(limits.of("10.0.0.1").booking("one"), 512 * KIB)
    other = Body(limits.of("10.0.0.2").booking("other"), 512 * KIB)
    assert not limits.of("10.0.0.3").booking("one").take(1, 0)
    assert not limits.of("10.0.0.3").booking("third").take(512 * KIB, 0)
    assert not (one.is_over or other.is_over)


def test_what_is_whole_is_not_given_up():
    """It is being answered."""
    limits = limits_of()
    bodies = [Body(limits.of(f"10.0.0.{number}").booking(f"{number}"), 256 * KIB) for number in range(4)]
    for body in bodies:
        limits.incoming.remove(body)
    assert bodies[0] not in limits.incoming
    assert not limits.of("10.1.0.1").booking("victim").take(1, 0)
    assert not any(body.is_over for body in bodies)


def test_streams_that_are_read_as_they_come_are_not_given_up():
    """They take little now, however much has come of them: to end them would free nothing."""
    limits = limits_of(**ALL, max_buffered_percent_per_tenant=100)
    streams = [Body(limits.of("10.0.0.1").booking("large"), 128 * KIB) for _ in range(3)]
    for stream in streams:
        stream.booking.give(stream.booked - KIB)
        stream.booked = KIB
    body = Body(limits.of("10.0.0.1").booking("large"), 1024 * KIB - 3 * KIB, 5.0)
    assert limits.of("10.0.0.2").booking("asker").take(10, 0)
    assert [body.is_over, *(stream.is_over for stream in streams)] == [True, False, False, False]


def test_what_is_asked_for_in_vain_again_is_not_looked_for_again():
    """Hundreds of requests in one read look at thousands of bodies once, until something is another way."""
    limits = limits_of(**ALL, max_buffered_percent_per_tenant=100)
    known = Body(limits.of("10.0.0.1").booking("known"), 900 * KIB)
    stranger = limits.of("10.0.0.2").booking()
    assert not any(stranger.take(200 * KIB, 0) for _ in range(100))
    assert limits.incoming.looks == 1
    assert not stranger.take(150 * KIB, 0), "less might be there"
    assert not limits.of("10.0.0.3").booking().take(150 * KIB, 0)
    assert limits.incoming.looks == 3
    assert limits.of("10.0.0.4").booking("other").take(200 * KIB, 0), "somebody else may have it"
    assert known.is_over
    assert stranger.take(200 * KIB, 0)
