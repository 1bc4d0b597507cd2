"""Running checks, whatever the server does."""

from __future__ import annotations

from typing import Any

from gateway.conformance.check import Absent, Area, Broken, Verdict
from gateway.conformance.http_wire import HttpAnswer, HttpRequest, HttpWire, Place, WireError
from gateway.conformance.peer import Peer
from gateway.conformance.run import advertised, count, run
from gateway.conformance.subject import Subject


class Server(HttpWire):
    """Answers everything with the same body; once it is ``gone``, nothing, but for ``back`` looks."""

    def __init__(self, body: bytes = b"{}") -> None:
        super().__init__(Place("nowhere", 1), timeout_s=0.5)
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


def ran(server: Server, *judges: Any) -> tuple[list[Verdict], list[str]]:
    area = Area("a")
    for number, judge in enumerate(judges):
        area.check(f"c{number}", "title", "clause", optional=True)(judge)
    findings = run(area.checks, Peer(server, None, Subject("m", (), (), ())))
    return [finding.verdict for finding in findings], [finding.reason for finding in findings]


def test_each_check_has_its_own_verdict_and_transcript() -> None:
    def passes(peer: Peer) -> None:
        peer.get("/v2")

    def fails(peer: Peer) -> None:
        raise Broken("wrong")

    def lacks(peer: Peer) -> None:
        raise Absent("not there")

    area = Area("a")
    for judge in (passes, fails, lacks):
        area.check(judge.__name__, "title", "clause", optional=True)(judge)
    heard: list[str] = []
    findings = run(
        area.checks, Peer(Server(), None, Subject("m", (), (), ())), lambda one: heard.append(one.check.id)
    )

    assert [finding.verdict for finding in findings] == [Verdict.PASS, Verdict.FAIL, Verdict.UNSUPPORTED]
    assert [finding.reason for finding in findings] == ["", "wrong", "not there"]
    assert [len(finding.exchanges) for finding in findings] == [1, 0, 0]
    assert heard == ["a.passes", "a.fails", "a.lacks"]
    assert count(findings, Verdict.FAIL) == 1


def test_judging_that_trips_over_an_odd_answer_is_a_failure_of_the_server() -> None:
    def trips(peer: Peer) -> None:
        peer.get("/v2").json()["name"]

    verdicts, reasons = ran(Server(b"7"), trips, lambda peer: None)

    assert verdicts == [Verdict.FAIL, Verdict.PASS]
    assert "not what can be judged (TypeError" in reasons[0]


def test_server_that_dies_is_not_asked_again() -> None:
    server = Server()

    def kills(peer: Peer) -> None:
        server.gone = True
        peer.get("/v2")

    verdicts, reasons = ran(server, kills, lambda peer: None)

    assert verdicts == [Verdict.FAIL, Verdict.NOT_APPLICABLE]
    assert reasons == ["cannot connect", "the server is gone since a.c0"]


def test_server_that_comes_back_is_asked_again() -> None:
    server = Server()

    def kills(peer: Peer) -> None:
        server.gone, server.looks_until_back = True, 3
        peer.get("/v2")

    assert ran(server, kills, lambda peer: None)[0] == [Verdict.FAIL, Verdict.PASS]


def test_extensions_that_cannot_be_read_are_none() -> None:
    gone = Server()
    gone.gone = True

    assert advertised(Server(b'{"extensions": ["a", 7]}')) == {"a"}
    assert advertised(Server(b'{"extensions": "a"}')) == frozenset()
    assert advertised(Server(b"<html>")) == frozenset()
    assert advertised(gone) == frozenset()
