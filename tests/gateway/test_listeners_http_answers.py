"""What every answer says about itself."""

from __future__ import annotations

import email.utils

import pytest

from gateway.core.clock import LoopClock
from gateway.core.request import Provenance
from gateway.listeners.http_answers import Answers
from tests.fakes.front import EchoService
from tests.fakes.http import INFER, SMALL, get, post, say, serving

HIT = Provenance("edge", certified=False, level="l1", region="us-east", digest="sha256:ab")


async def test_headers_of_an_inference():
    """Region, provenance, certification, digest and generation; the server names no versions."""
    async with serving(EchoService(HIT)) as listener:
        said = await say(listener.port, post(INFER, SMALL))

    date = said.headers.pop("date")
    assert said.headers == {
        "content-type": "application/json",
        "content-length": str(len(said.body)),
        "server": "edgeway",
        "x-edgeway-served-by": "eu-west",
        "x-edgeway-provenance": "cache;level=l1;origin=edge",
        "x-edgeway-certified": "false",
        "x-edgeway-model-digest": "sha256:ab",
        "x-edgeway-policy-generation": "7",
    }
    assert abs(email.utils.parsedate_to_datetime(date).timestamp() - LoopClock().wall()) < 5


async def test_an_unknown_digest_is_not_told():
    """Where the artefact is not known, there is no header about it."""
    async with serving(EchoService(Provenance("central"))) as listener:
        said = await say(listener.port, post(INFER, SMALL))

    assert "x-edgeway-model-digest" not in said.headers
    assert said.headers["x-edgeway-certified"] == "true"


@pytest.mark.parametrize("sent", [get("/v2"), get("/nowhere"), post(INFER, b"{"), get(INFER)])
async def test_every_answer_names_region_and_generation(sent):
    """Refusals too."""
    async with serving(EchoService()) as listener:
        said = await say(listener.port, sent)

    assert said.headers["x-edgeway-served-by"] == "eu-west"
    assert said.headers["x-edgeway-policy-generation"] == "7"
    assert said.headers["server"] == "edgeway"


async def test_foreign_words_cannot_end_a_line():
    """A digest comes from elsewhere: it can neither add a header nor end them all."""
    evil = Provenance("central", digest="a\r\nSet-Cookie: x\r\n\r\n<html>é")
    async with serving(EchoService(evil)) as listener:
        said = await say(listener.port, post(INFER, SMALL))

    assert said.headers["x-edgeway-model-digest"] == "aSet-Cookie: x<html>"
    assert "set-cookie" not in said.headers


@pytest.mark.parametrize(
    ("version", "asked", "connection"),
    [
        ("1.1", None, None),
        ("1.1", "close", "close"),
        ("1.0", None, "close"),
        ("1.0", "keep-alive", "keep-alive"),
    ],
)
async def test_keeping_the_connection(version, asked, connection):
    """The connection is kept as the client's version and wish have it, and the answer says so."""
    wish = {"Connection": asked} if asked else {}
    async with serving(EchoService()) as listener:
        said = await say(listener.port, get("/v2", version=version, **wish))

    assert said.headers.get("connection") == connection
    assert said.version == f"HTTP/{version}"


async def test_the_date_moves_on():
    """The date is rendered once a second, not once."""

    class Wall(LoopClock):
        at = 0.0

        def wall(self) -> float:
            return self.at

    clock = Wall()
    answers = Answers("", clock)
    seen = set()
    for clock.at in (1e9, 1e9 + 0.5, 1e9 + 1):
        seen.add(answers.json(b"", 1)._lines)

    assert len(seen) == 2
    assert repr(answers) == "<Answers of nowhere>"
    assert repr(answers.json(b"", 1, 404)) == "<Answer 404>"
