"""Requests that two servers in a row could read as two different things, and what we say to each.

One table: a name, the bytes, and the status. 200 is what we accept.
"""

from __future__ import annotations

from typing import NamedTuple


class Case(NamedTuple):
    """``status``: ours, 200 where we accept."""

    name: str
    sent: bytes
    status: int


def _get(*lines: bytes, line: bytes = b"GET / HTTP/1.1", host: bytes = b"Host: a\r\n") -> bytes:
    return line + b"\r\n" + host + b"".join(each + b"\r\n" for each in lines) + b"\r\n"


def _post(*lines: bytes, body: bytes = b"", version: bytes = b"1.1") -> bytes:
    return _get(*lines, line=b"POST / HTTP/" + version) + body


def _chunked(body: bytes) -> bytes:
    return _post(b"Transfer-Encoding: chunked", body=body)


_END = b"0\r\n\r\n"
_CL, _TE = b"Content-Length: 1", b"Transfer-Encoding: chunked"

CASES: tuple[Case, ...] = tuple(
    Case(*row)
    for row in (
        # How long the body is.
        ("length", _post(_CL, body=b"x"), 200),
        ("length, then chunked", _post(b"Content-Length: 5", _TE, body=_END), 400),
        ("chunked, then length", _post(_TE, b"Content-Length: 5", body=_END), 400),
        ("two lengths, equal", _post(_CL, _CL, body=b"x"), 400),
        ("two lengths, different", _post(_CL, b"Content-Length: 2", body=b"xy"), 400),
        ("length 1, 1", _post(b"Content-Length: 1, 1", body=b"x"), 400),
        ("length +1", _post(b"Content-Length: +1", body=b"x"), 400),
        ("length -1", _post(b"Content-Length: -1", body=b"x"), 400),
        ("length 0x1", _post(b"Content-Length: 0x1", body=b"x"), 400),
        ("length 1_0", _post(b"Content-Length: 1_0", body=b"0123456789"), 400),
        ("length of more blanks", _post(b"Content-Length:   1  ", body=b"x"), 200),
        ("length 01", _post(b"Content-Length: 01", body=b"x"), 200),
        ("length empty", _post(b"Content-Length: ", body=b"x"), 400),
        ("length of two numbers", _post(b"Content-Length: 1 1", body=b"x"), 400),
        ("length 1.0", _post(b"Content-Length: 1.0", body=b"x"), 400),
        ("length overflows", _post(b"Content-Length: 18446744073709551617", body=b"x"), 400),
        ("GET with a body", _get(_CL) + b"x", 200),
        ("GET with chunks", _get(_TE) + _END, 200),
        # Transfer codings.
        ("chunked", _chunked(b"1\r\nx\r\n" + _END), 200),
        ("CHUNKED", _post(b"Transfer-Encoding: CHUNKED", body=_END), 200),
        ("gzip, chunked", _post(b"Transfer-Encoding: gzip, chunked", body=_END), 400),
        ("chunked, gzip", _post(b"Transfer-Encoding: chunked, gzip", body=_END), 400),
        ("chunked, chunked", _post(b"Transfer-Encoding: chunked, chunked", body=_END), 400),
        ("chunked twice", _post(_TE, _TE, body=_END), 400),
        ("chunked, then identity", _post(_TE, b"Transfer-Encoding: identity", body=_END), 400),
        ("xchunked", _post(b"Transfer-Encoding: xchunked", body=_END), 400),
        ("chunkedx", _post(b"Transfer-Encoding: chunkedx", body=_END), 400),
        ("identity", _post(b"Transfer-Encoding: identity", body=_END), 400),
        ("coding empty", _post(b"Transfer-Encoding: ", body=_END), 400),
        ("coding quoted", _post(b'Transfer-Encoding: "chunked"', body=_END), 400),
        ("coding after VT", _post(b"Transfer-Encoding: \x0bchunked", body=_END), 400),
        ("coding after a tab", _post(b"Transfer-Encoding:\tchunked", body=_END), 200),
        ("chunked; q=1", _post(b"Transfer-Encoding: chunked; q=1", body=_END), 400),
        ("chunked in 1.0", _post(_TE, b"Connection: keep-alive", body=_END, version=b"1.0"), 400),
        # Ends of lines.
        ("folded header", _get(b"X: a", b" b"), 400),
        ("folded by a tab", _get(b"X: a", b"\tb"), 400),
        ("blank before the first header", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
        ("LF for all ends", b"GET / HTTP/1.1\nHost: a\n\n", 400),
        ("LF behind the request line", b"GET / HTTP/1.1\nHost: a\r\n\r\n", 400),
        ("LF behind a header", b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400),
        ("LF for the last end", b"GET / HTTP/1.1\r\nHost: a\r\n\n", 400),
        ("CR in a value", _get(b"X: a\rb"), 400),
        ("CR for an end", b"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", 400),
        ("CR CR LF", b"GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", 400),
        ("empty lines first", b"\r\n\r\n" + _get(), 200),
        ("blank first", b" " + _get(), 400),
        # Names and values.
        ("NUL in a value", _get(b"X: a\0b"), 400),
        ("control in a value", _get(b"X: a\x01b"), 400),
        ("DEL in a value", _get(b"X: a\x7fb"), 400),
        ("0xff in a value", _get(b"X: a\xffb"), 200),
        ("tab in a value", _get(b"X: a\tb"), 200),
        ("NUL in a name", _get(b"X\0: a"), 400),
        ("control in a name", _get(b"X\x01: a"), 400),
        ("0xff in a name", _get(b"X\xff: a"), 400),
        ("bracket in a name", _get(b"X(: a"), 400),
        ("space before the colon", _get(b"X : a"), 400),
        ("tab before the colon", _get(b"X\t: a"), 400),
        ("length, space, colon", _post(b"Content-Length : 1", body=b"x"), 400),
        ("no colon", _get(b"X"), 400),
        ("name empty", _get(b": a"), 400),
        ("value empty", _get(b"X:"), 200),
        # Host.
        ("no Host", _get(host=b""), 400),
        ("no Host in 1.0", _get(line=b"GET / HTTP/1.0", host=b""), 200),
        ("two Hosts", _get(b"Host: b"), 400),
        ("two equal Hosts", _get(b"Host: a"), 400),
        ("Host empty", _get(host=b"Host:\r\n"), 200),
        ("Host with a blank", _get(host=b"Host: a b\r\n"), 400),
        ("Host with a comma", _get(host=b"Host: a, b\r\n"), 400),
        ("Host with a path", _get(host=b"Host: a/b\r\n"), 400),
        ("Host with a user", _get(host=b"Host: u@a\r\n"), 400),
        ("Host with 0xff", _get(host=b"Host: a\xff\r\n"), 400),
        ("Host with a port", _get(host=b"Host: a:80\r\n"), 200),
        ("Host in brackets", _get(host=b"Host: [::1]:80\r\n"), 200),
        # Targets.
        ("absolute form", _get(line=b"GET http://a/ HTTP/1.1"), 400),
        ("absolute form, other host", _get(line=b"GET http://b/ HTTP/1.1"), 400),
        ("authority form", _get(line=b"CONNECT a:80 HTTP/1.1"), 400),
        ("CONNECT of a path", _get(line=b"CONNECT / HTTP/1.1"), 400),
        ("asterisk", _get(line=b"OPTIONS * HTTP/1.1"), 400),
        ("no leading slash", _get(line=b"GET a HTTP/1.1"), 400),
        ("no target", _get(line=b"GET  HTTP/1.1"), 400),
        ("fragment", _get(line=b"GET /#a HTTP/1.1"), 400),
        ("NUL in the target", _get(line=b"GET /a\0b HTTP/1.1"), 400),
        ("control in the target", _get(line=b"GET /a\x01b HTTP/1.1"), 400),
        ("0xff in the target", _get(line=b"GET /a\xffb HTTP/1.1"), 400),
        ("DEL in the target", _get(line=b"GET /a\x7fb HTTP/1.1"), 400),
        ("blank in the target", _get(line=b"GET /a b HTTP/1.1"), 400),
        ("tab in the target", _get(line=b"GET /a\tb HTTP/1.1"), 400),
        ("target too long", _get(line=b"GET /" + b"a" * 70_000 + b" HTTP/1.1"), 431),
        # Request lines.
        ("HTTP/0.9", b"GET /\r\n\r\n", 505),
        ("HTTP/1.2", _get(line=b"GET / HTTP/1.2"), 400),
        ("HTTP/2.0", _get(line=b"GET / HTTP/2.0"), 505),
        ("HTTP/01.1", _get(line=b"GET / HTTP/01.1"), 400),
        ("HTTP/1.10", _get(line=b"GET / HTTP/1.10"), 400),
        ("http/1.1", _get(line=b"GET / http/1.1"), 400),
        ("RTSP/1.0", _get(line=b"PLAY / RTSP/1.0"), 400),
        ("GET by RTSP/1.0", _get(line=b"GET / RTSP/1.0"), 200),
        ("ICE/1.0", _get(line=b"SOURCE / ICE/1.0"), 400),
        ("two spaces before the target", _get(line=b"GET  / HTTP/1.1"), 200),
        ("two spaces before the version", _get(line=b"GET /  HTTP/1.1"), 200),
        ("space behind the version", _get(line=b"GET / HTTP/1.1 "), 400),
        ("tab for a space", _get(line=b"GET\t/ HTTP/1.1"), 400),
        ("get", _get(line=b"get / HTTP/1.1"), 400),
        ("unknown method", _get(line=b"FOO / HTTP/1.1"), 400),
        ("long method", _get(line=b"A" * 5000 + b" / HTTP/1.1"), 400),
        ("method with a control", _get(line=b"G\x01T / HTTP/1.1"), 400),
        ("TLS hello", b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n", 400),
        # Chunks.
        ("size 0x1", _chunked(b"0x1\r\nx\r\n" + _END), 400),
        ("size +1", _chunked(b"+1\r\nx\r\n" + _END), 400),
        ("size -1", _chunked(b"-1\r\nx\r\n" + _END), 400),
        ("size with a blank before", _chunked(b" 1\r\nx\r\n" + _END), 400),
        ("size with a blank behind", _chunked(b"1 \r\nx\r\n" + _END), 400),
        ("size empty", _chunked(b"\r\nx\r\n" + _END), 400),
        ("size no number", _chunked(b"g\r\nx\r\n" + _END), 400),
        ("size overflows", _chunked(b"10000000000000001\r\nx\r\n" + _END), 400),
        ("size in either case", _chunked(b"a\r\n0123456789\r\nA\r\n0123456789\r\n" + _END), 200),
        ("size with zeros", _chunked(b"00001\r\nx\r\n000\r\n\r\n"), 200),
        ("size ends with LF", _chunked(b"1\nx\r\n" + _END), 400),
        ("size ends with CR", _chunked(b"1\rx\r\n" + _END), 400),
        ("no end behind a chunk", _chunked(b"1\r\nx" + _END), 400),
        ("chunk longer than it says", _chunked(b"1\r\nxy\r\n" + _END), 400),
        ("LF behind a chunk", _chunked(b"1\r\nx\n" + _END), 400),
        ("LF for the last end of chunks", _chunked(b"1\r\nx\r\n0\r\n\n"), 400),
        ("extension", _chunked(b"1;a=b\r\nx\r\n" + _END), 200),
        ("extension, quoted", _chunked(b'1;a="b;c"\r\nx\r\n' + _END), 200),
        ("extension with LF", _chunked(b"1;a\nb\r\nx\r\n" + _END), 400),
        ("extension with CR", _chunked(b"1;a\rb\r\nx\r\n" + _END), 400),
        ("extension with NUL", _chunked(b"1;a=\0\r\nx\r\n" + _END), 400),
        ("trailer", _chunked(b"0\r\nX: a\r\n\r\n"), 200),
        ("trailer with a length", _chunked(b"0\r\nContent-Length: 5\r\n\r\n"), 400),
        ("trailer with a coding", _chunked(b"0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400),
        ("trailer with LF", _chunked(b"0\r\nX: a\nY: b\r\n\r\n"), 400),
        ("trailers too large", _chunked(b"0\r\nX: " + b"a" * 70_000 + b"\r\n\r\n"), 431),
        # What is asked of the connection.
        (
            "upgrade to h2c",
            _get(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk"),
            200,
        ),
        ("upgrade with a body", _post(b"Connection: Upgrade", b"Upgrade: h2c", _CL, body=b"x"), 200),
        (
            "upgrade with chunks",
            _post(b"Connection: Upgrade", b"Upgrade: h2c", _TE, body=b"1\r\nx\r\n" + _END),
            200,
        ),
        ("expects 100", _post(b"Expect: 100-continue", _CL, body=b"x"), 200),
        ("expects something else", _post(b"Expect: 200-ok", _CL, body=b"x"), 417),
        ("expects 100 in 1.0", _post(b"Expect: 100-continue", _CL, body=b"x", version=b"1.0"), 200),
        ("keep-alive, close", _get(b"Connection: keep-alive, close"), 200),
        ("connection names a header", _get(b"Connection: Host, close"), 200),
        # Too much.
        ("100 headers", _get(*[b"X: a"] * 99), 200),
        ("101 headers", _get(*[b"X: a"] * 100), 431),
        ("large header", _get(b"X: " + b"a" * 70_000), 431),
        ("many large headers", _get(*[b"X: " + b"a" * 7_000] * 10), 431),
        ("long name", _get(b"X" * 70_000 + b": a"), 431),
    )
)
