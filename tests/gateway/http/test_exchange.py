"""The values between connections and applications."""

from __future__ import annotations

from gateway.http.exchange import NO_FIELDS, Fields, Head


def test_headers_are_found_by_name():
    """The first, or all of them, in their order."""
    head = Head("GET", "/", (("a", "1"), ("b", "2"), ("a", "3")))

    assert (head.get("a"), head.get("c"), head.get("c", "none")) == ("1", "", "none")
    assert (head.all("a"), head.all("c")) == (["1", "3"], [])


def test_notes_belong_to_one_head():
    """What is found out about one says nothing of another."""
    one, other = Head("GET", "/", ()), Head("GET", "/", ())
    one.notes["seen"] = True

    assert other.notes == {}


def test_fields_are_rendered_once():
    """For HTTP/1.1 as lines."""
    fields = Fields((b"a", b"1"), (b"b", b"2"))

    assert fields.lines == b"a: 1\r\nb: 2\r\n"
    assert repr(fields) == "<Fields a, b>"
    assert NO_FIELDS.lines == b""
