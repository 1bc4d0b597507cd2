"""Area `http`: HTTP/1.1 itself; ambiguous framing above all, because proxies stand in front."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.commands.conformance.call import model_path
from gateway.commands.conformance.check import Absent, Area, require
from gateway.commands.conformance.clauses import HTTP, HTTP1
from gateway.commands.conformance.http_wire import Conversation
from gateway.commands.conformance.peer import Peer, reply_of

AREA = Area("http")
LIVE: Final = "/v2/health/live"


def _live(peer: Peer, *lines: str, version: str = "HTTP/1.1", host: bool = True) -> bytes:
    first = f"GET {peer.http.place.prefix}{LIVE} {version}"
    host_line = (f"Host: {peer.http.place.authority}",) if host else ()
    return "\r\n".join((first, *host_line, *lines, "", "")).encode("latin-1")


def _infer(peer: Peer, *lines: str, body: bytes) -> bytes:
    target = f"{peer.http.place.prefix}{model_path(peer.model.name, verb='infer')}"
    head = (f"POST {target} HTTP/1.1", f"Host: {peer.http.place.authority}", *lines, "", "")
    return "\r\n".join(head).encode("latin-1") + body


def _rejected(talk: Conversation, statuses: tuple[int, ...] = ()) -> None:
    """Require a 4xx (or a status among ``statuses``) or a closed connection, and nothing behind it."""
    require(talk.end != "silent" or talk.answers, "the server neither answered nor closed")
    require(talk.end != "more", f"after {talk.statuses} the server went on: it answered what is behind")
    if talk.answers:
        status = talk.answers[0].status
        require(400 <= status < 500 or status in statuses, f"status {status}, not 400")
    else:
        require(talk.end == "closed", talk.trouble or "no answer")


@AREA.check("keep-alive", "two requests on one connection", f"{HTTP1} 9.3")
def keep_alive(peer: Peer) -> None:
    """Connections of HTTP/1.1 persist."""
    talk = peer.converse(_live(peer) + _live(peer), ("GET", "GET"))
    require(talk.statuses == (200, 200), f"the answers are {talk.statuses}")


@AREA.check("pipelining", "pipelined requests are answered in order", f"{HTTP1} 9.3.2")
def pipelining(peer: Peer) -> None:
    """Told apart by their ids, and by a refusal between them."""
    calls = [peer.model.call(seed=seed).but(id=f"p{seed}") for seed in range(4)]
    bodies = [call.as_json() for call in calls]
    bodies[2] = b"{"
    length = [f"Content-Length: {len(body)}" for body in bodies]
    raw = b"".join(_infer(peer, line, body=body) for line, body in zip(length, bodies, strict=True))
    talk = peer.converse(raw, ("POST",) * 4)
    require(len(talk.answers) == 4, f"{len(talk.answers)} of 4 were answered: {talk.statuses}")
    require(400 <= talk.statuses[2] < 500, f"the answers are {talk.statuses}")
    ids = [reply_of(talk.answers[place]).id for place in (0, 1, 3)]
    require(ids == ["p0", "p1", "p3"], f"the ids are {ids}")


@AREA.check("close", "Connection: close is kept", f"{HTTP1} 9.6")
def close(peer: Peer) -> None:
    """The answer comes, and then the end."""
    talk = peer.converse(_live(peer, "Connection: close"), quiet_s=3.0)
    require(talk.statuses == (200,), f"the answers are {talk.statuses}")
    require(talk.end == "closed", "the connection stays open")


@AREA.check("old-version", "a client of HTTP/1.0 is answered and let go", f"{HTTP1} 9.3")
def old_version(peer: Peer) -> None:
    """Without Host, which it did not have."""
    talk = peer.converse(_live(peer, version="HTTP/1.0", host=False), quiet_s=3.0)
    require(talk.statuses == (200,), f"the answers are {talk.statuses}")
    require(talk.end == "closed", "the connection stays open")


@AREA.check("head", "HEAD is GET without a body", f"{HTTP} 9.3.2")
def head(peer: Peer) -> None:
    """Every general-purpose server must have both methods."""
    raw = _live(peer).replace(b"GET ", b"HEAD ", 1)
    talk = peer.converse(raw + _live(peer, "Connection: close"), ("HEAD", "GET"))
    require(talk.statuses == (200, 200), f"HEAD and the GET behind it are answered with {talk.statuses}")


@AREA.check("method", "a method that a resource does not have is 405", f"{HTTP} 15.5.6")
def method(peer: Peer) -> None:
    """404 would deny the resource, 2xx would do something else."""
    for verb, target in (("DELETE", LIVE), ("PUT", model_path(peer.model.name, verb="infer"))):
        answer = peer.ask(verb, target, body=b"")
        require(answer.status in {405, 501}, f"{verb} is answered with {answer.status}, not 405")


@AREA.check("allow", "405 names the methods that there are", f"{HTTP} 15.5.6")
def allow(peer: Peer) -> None:
    """In `Allow`."""
    answer = peer.ask("DELETE", LIVE)
    require(answer.status == 405, f"status {answer.status}, not 405")
    require("GET" in answer.header("Allow").upper(), f"Allow is {answer.header('Allow')[:40]!r}")


@AREA.check("case", "methods are case-sensitive", f"{HTTP} 9.1")
def case(peer: Peer) -> None:
    """`get` is not `GET`."""
    _rejected(peer.converse(_live(peer).replace(b"GET ", b"get ", 1)), (501,))


@AREA.check("absolute-form", "an absolute target is taken", f"{HTTP1} 3.2.2")
def absolute_form(peer: Peer) -> None:
    """Every server must."""
    place = peer.http.place
    full = f"{'https' if place.tls else 'http'}://{place.authority}{place.prefix}{LIVE}"
    talk = peer.converse(_live(peer).replace(f"{place.prefix}{LIVE}".encode(), full.encode(), 1))
    require(talk.statuses == (200,), f"the answers are {talk.statuses}")


@AREA.check("chunked", "a chunked body is read", f"{HTTP1} 7.1")
def chunked(peer: Peer) -> None:
    """With extensions, which mean nothing, and trailers, which may be dropped."""
    call = peer.model.call()
    body = call.as_json()
    cut = len(body) // 3
    parts = b"%x;suite=1\r\n%b\r\n%X\r\n%b\r\n0\r\nX-Suite: 1\r\n\r\n" % (
        cut,
        body[:cut],
        len(body) - cut,
        body[cut:],
    )
    talk = peer.converse(_infer(peer, "Transfer-Encoding: chunked", body=parts), ("POST",))
    require(talk.answers, talk.trouble or "no answer")
    peer.infer(call).same_outputs(reply_of(talk.answers[0]))


@AREA.check("continue", "Expect: 100-continue is met", f"{HTTP} 10.1.1")
def expect_continue(peer: Peer) -> None:
    """With 100, or with the final answer."""
    call = peer.model.call()
    body = call.as_json()
    lines = ("Expect: 100-continue", f"Content-Length: {len(body)}")
    talk = peer.converse(_infer(peer, *lines, body=body), ("POST",))
    require(talk.answers, talk.trouble or "no answer")
    peer.infer(call).same_outputs(reply_of(talk.answers[0]))


Ambiguous = tuple[str, str, str, Callable[[Peer], bytes]]


def _smuggled(*lines: str, body: bytes = b"") -> Callable[[Peer], bytes]:
    """A POST whose length is unclear, and a request behind it that must not be answered for itself."""
    return lambda peer: _infer(peer, *lines, body=body) + _live(peer)


AMBIGUOUS: Final[tuple[Ambiguous, ...]] = (
    ("no-host", "no Host", f"{HTTP1} 3.2", lambda peer: _live(peer, host=False)),
    ("two-hosts", "two Host headers", f"{HTTP1} 3.2", lambda peer: _live(peer, "Host: another")),
    (
        "two-lengths",
        "two different Content-Lengths",
        f"{HTTP1} 6.3",
        _smuggled("Content-Length: 2", "Content-Length: 3", body=b"{} "),
    ),
    ("length-list", "Content-Length: 2, 3", f"{HTTP1} 6.3", _smuggled("Content-Length: 2, 3", body=b"{}")),
    ("length-sign", "Content-Length: +2", f"{HTTP} 8.6", _smuggled("Content-Length: +2", body=b"{}")),
    ("length-negative", "Content-Length: -2", f"{HTTP} 8.6", _smuggled("Content-Length: -2", body=b"{}")),
    ("length-hex", "Content-Length: 0x2", f"{HTTP} 8.6", _smuggled("Content-Length: 0x2", body=b"{}")),
    (
        "length-overflow",
        "a Content-Length of more than 64 bits",
        f"{HTTP} 8.6",
        _smuggled(f"Content-Length: {(1 << 64) + 2}", body=b"{}"),
    ),
    (
        "unknown-transfer",
        "a Transfer-Encoding that nobody knows",
        f"{HTTP1} 6.1",
        _smuggled("Transfer-Encoding: suite", body=b"{}"),
    ),
    (
        "chunked-not-last",
        "chunked that is not the last coding",
        f"{HTTP1} 6.3",
        _smuggled("Transfer-Encoding: chunked, identity", body=b"2\r\n{}\r\n0\r\n\r\n"),
    ),
    (
        "chunk-size",
        "a chunk size that is no number",
        f"{HTTP1} 7.1",
        _smuggled("Transfer-Encoding: chunked", body=b"zz\r\n{}\r\n0\r\n\r\n"),
    ),
    (
        "chunk-size-sign",
        "a chunk size with a sign",
        f"{HTTP1} 7.1",
        _smuggled("Transfer-Encoding: chunked", body=b"+2\r\n{}\r\n0\r\n\r\n"),
    ),
    (
        "chunk-overflow",
        "a chunk size of more than 64 bits",
        f"{HTTP1} 7.1",
        _smuggled("Transfer-Encoding: chunked", body=b"10000000000000002\r\n{}\r\n0\r\n\r\n"),
    ),
    (
        "chunk-end",
        "a chunk that is longer than its size",
        f"{HTTP1} 7.1",
        _smuggled("Transfer-Encoding: chunked", body=b"1\r\n{}\r\n0\r\n\r\n"),
    ),
    (
        "space-colon",
        "a space before a header's colon",
        f"{HTTP1} 5.1",
        lambda peer: _live(peer, "X-Suite : 1"),
    ),
    ("header-name", "a header name that is no token", f"{HTTP} 5.1", lambda peer: _live(peer, "X Suite: 1")),
    ("no-colon", "a header line without colon", f"{HTTP1} 5", lambda peer: _live(peer, "X-Suite")),
    ("first-line", "a request line that is none", f"{HTTP1} 3", lambda _: b"suite\r\n\r\n"),
    (
        "version",
        "a version that does not exist",
        f"{HTTP1} 2.3",
        lambda peer: _live(peer, version="HTTP/9.9"),
    ),
)


def _reject(make: Callable[[Peer], bytes]) -> Callable[[Peer], None]:
    def check(peer: Peer) -> None:
        _rejected(peer.converse(make(peer)), (501, 505))
        still = peer.converse(_live(peer))
        require(still.statuses == (200,), "the server does not answer afterwards")

    return check


for _name, _title, _clause, _make in AMBIGUOUS:
    AREA.check(_name, f"{_title} is refused", _clause)(_reject(_make))


@AREA.check("length-and-chunked", "Content-Length and chunked together never split a request", f"{HTTP1} 6.3")
def length_and_chunked(peer: Peer) -> None:
    """Refused, or read as chunked and the connection closed: what follows is not answered for itself."""
    body = b"0\r\n\r\n"
    lines = ("Content-Length: 4", "Transfer-Encoding: chunked")
    talk = peer.converse(_infer(peer, *lines, body=body) + _live(peer))
    _rejected(talk)


def _limited(talk: Conversation) -> None:
    if talk.statuses == (200,):
        raise Absent("the server has no such limit")
    _rejected(talk)


@AREA.check("long-target", "a target of 100 KB is refused", f"{HTTP} 15.5.15", optional=True)
def long_target(peer: Peer) -> None:
    """With 414, another 4xx or an end; never with patience."""
    _limited(peer.converse(_live(peer).replace(LIVE.encode(), LIVE.encode() + b"?" + b"x" * 100_000, 1)))


@AREA.check("many-headers", "1 MB of headers is refused", f"{HTTP} 5.4", optional=True)
def many_headers(peer: Peer) -> None:
    """With 431, another 4xx or an end."""
    _limited(peer.converse(_live(peer, *(f"X-Suite-{number}: {'x' * 1000}" for number in range(1000)))))


@AREA.check(
    "too-large",
    "a body that is declared too large is refused before it comes",
    f"{HTTP} 15.5.14",
    optional=True,
)
def too_large(peer: Peer) -> None:
    """A terabyte; a server without a limit would wait for it."""
    talk = peer.converse(_infer(peer, f"Content-Length: {1 << 40}", body=b"{"), ("POST",))
    if talk.end == "silent" and not talk.answers:
        raise Absent("the server waits for a terabyte")
    _rejected(talk)
    require(not talk.answers or talk.statuses[0] in {400, 413}, f"status {talk.statuses}, not 413")


@AREA.check("afterwards", "after all this the server still answers", f"{HTTP1} 9")
def afterwards(peer: Peer) -> None:
    """Health and inference."""
    for _ in range(3):
        require(peer.get(LIVE).status == 200, "the server is not live")
        peer.infer(peer.model.call())
