"""The values between connections and applications."""

from __future__ import annotations

import pytest

from gateway.http.exchange import (
    NO_FIELDS,
    Answer,
    Application,
    BodyPolicy,
    Fields,
    GeneratedBody,
    Head,
    RequestBody,
)
from tests.fakes.exchange import in_pieces


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


async def test_a_generated_body():
    """The parts of a generator, no trailers; closing it ends the generator."""
    ended = []

    async def parts():
        try:
            yield b"one"
            yield b"two"
        finally:
            ended.append(True)

    whole, left = GeneratedBody(parts()), GeneratedBody(parts())

    assert [part async for part in whole] == [b"one", b"two"]
    assert await anext(aiter(left)) == b"one"
    assert ended == [True]
    await left.aclose()
    assert ended == [True, True]
    assert whole.trailers() == ()


async def test_closing_a_generated_body_that_never_began():
    """No part of it runs."""

    async def parts():
        raise AssertionError
        yield b""

    body = GeneratedBody(parts())
    await body.aclose()

    assert [part async for part in body] == []


async def test_an_answer_can_be_awaited():
    """It is itself."""
    answer = Answer(204)

    assert await answer is answer


def test_an_application_that_takes_no_streamed_bodies_says_so():
    """To hand it one is a mistake of its ``open``."""

    class Whole(Application):
        def open(self, head: Head) -> BodyPolicy:
            return BodyPolicy(0)

        def answer(self, head: Head, body: object) -> Answer:
            return Answer(200)

        def refuse(self, head: Head | None, status: int, message: str) -> Answer:
            return Answer(status)

    body: RequestBody = in_pieces(b"body")
    with pytest.raises(RuntimeError, match="no streamed bodies"):
        Whole().answer_stream(Head("POST", "/", ()), body)
