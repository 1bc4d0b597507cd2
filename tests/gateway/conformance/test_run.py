"""Running checks, whatever the server does."""

from __future__ import annotations

from typing import Any

from gateway.conformance.check import Area
from gateway.conformance.http_wire import HttpAnswer, HttpRequest, HttpWire, ServerAddress, WireError
from gateway.conformance.run import advertised, count, run
from gateway.conformance.server_under_test import ServerUnderTest
from gateway.conformance.subject import Subject
from gateway.conformance.verdicts import Absent, CheckVerdict, Violation


class Server(HttpWire):
    """Answers everything with the same body; once it is ``gone``, nothing, but for ``back`` looks."""

    def __init__(self, body: bytes = b"{}") -> None:
        super().__init__(ServerAddress("nowhere", 1), timeout_s=0.5)
        self.body = body
        self.gone = False
        self.looks_until_back = -1

    def in_turn(self, *requests: HttpRequest) -> list[HttpAnswer]:
        if self.gone:
            self.looks_until_back -= 1
            if self.looks_until_back:
                raise WireError("cannot connect")
            self.gone = False
        return [HttpAnswer(200, (), self.body) for _ in requests]


def ran(server: Server, *judges: Any) -> tuple[list[CheckVerdict], list[str]]:
    area = Area("a")
    for number, judge in enumerate(judges):
        area.check(f"c{number}", "title", "clause", optional=True)(judge)
    results = run(area.checks, ServerUnderTest(server, None, Subject("m", (), (), ())))
    return [result.verdict for result in results], [result.reason for result in results]


def test_each_check_has_its_own_verdict_and_transcript() -> None:
    def passes(tested: ServerUnderTest) -> None:
        tested.get("/v2")

    def fails(tested: ServerUnderTest) -> None:
        raise Violation("wrong")

    def lacks(tested: ServerUnderTest) -> None:
        raise Absent("not there")

    area = Area("a")
    for judge in (passes, fails, lacks):
        area.check(judge.__name__, "title", "clause", optional=True)(judge)
    heard: list[str] = []
    results = run(
        area.checks,
        ServerUnderTest(Server(), None, Subject("m", (), (), ())),
        lambda one: heard.append(one.check.id),
    )

    assert [result.verdict for result in results] == [
        CheckVerdict.PASS,
        CheckVerdict.FAIL,
        CheckVerdict.UNSUPPORTED,
    ]
    assert [result.reason for result in results] == ["", "wrong", "not there"]
    assert [len(result.exchanges) for result in results] == [1, 0, 0]
    assert heard == ["a.passes", "a.fails", "a.lacks"]
    assert count(results, CheckVerdict.FAIL) == 1


def test_judging_that_trips_over_an_odd_answer_is_a_failure_of_the_server() -> None:
    def trips(tested: ServerUnderTest) -> None:
        tested.get("/v2").json()["name"]

    verdicts, reasons = ran(Server(b"7"), trips, lambda tested: None)

    assert verdicts == [CheckVerdict.FAIL, CheckVerdict.PASS]
    assert "not what can be judged (TypeError" in reasons[0]


def test_server_that_dies_is_not_asked_again() -> None:
    server = Server()

    def kills(tested: ServerUnderTest) -> None:
        server.gone = True
        tested.get("/v2")

    verdicts, reasons = ran(server, kills, lambda tested: None)

    assert verdicts == [CheckVerdict.FAIL, CheckVerdict.NOT_APPLICABLE]
    assert reasons == ["cannot connect", "the server is gone since a.c0"]


def test_server_that_comes_back_is_asked_again() -> None:
    server = Server()

    def kills(tested: ServerUnderTest) -> None:
        server.gone, server.looks_until_back = True, 3
        tested.get("/v2")

    assert ran(server, kills, lambda tested: None)[0] == [CheckVerdict.FAIL, CheckVerdict.PASS]


def test_extensions_that_cannot_be_read_are_none() -> None:
    gone = Server()
    gone.gone = True

    assert advertised(Server(b'{"extensions": ["a", 7]}')) == {"a"}
    assert advertised(Server(b'{"extensions": "a"}')) == frozenset()
    assert advertised(Server(b"<html>")) == frozenset()
    assert advertised(gone) == frozenset()
