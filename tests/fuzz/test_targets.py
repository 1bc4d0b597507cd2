"""The fuzz targets hold for their seeds and for what chance makes of them, and they can fail."""

from __future__ import annotations

import asyncio
import random

import httptools
import pytest

from gateway.core.request import NO_PARAMETERS
from gateway.http.framing.http1_server import Http1Server
from gateway.wire.oip import proto_reuse as grpc_infer
from gateway.wire.oip import reuse as oip_reuse
from tests.fuzz import targets

MUTATIONS = {"flood": 4}


def mutated(seed: bytes, chance: random.Random) -> bytes:
    """Change, drop, repeat or insert a few bytes."""
    data = bytearray(seed)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(data) + 1)
        match chance.randrange(4):
            case 0:
                data[place : place + 1] = bytes([chance.randrange(256)])
            case 1:
                del data[place : place + chance.randint(1, 8)]
            case 2:
                data[place:place] = data[place : place + chance.randint(1, 32)]
            case _:
                data[place:place] = chance.choice([b"\r\n", b"\n", b"\0", b": ", b"0", b"-1", b'"', b"["])
    return bytes(data)


@pytest.mark.parametrize("target", targets.TARGETS)
def test_chance_finds_nothing(target: str, caplog: pytest.LogCaptureFixture) -> None:
    """Seeds are accepted; mutations of them are answered or refused."""
    chance = random.Random(20261121)
    check = targets.TARGETS[target]
    for seed in targets.seeds(target):
        check(seed)
        for _ in range(MUTATIONS.get(target, 400)):
            check(mutated(seed, chance))
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_seeds_are_accepted() -> None:
    """A seed that is refused at the door would lead nowhere."""
    for seed in targets.seeds("json"):
        body = seed[1:]
        length = None if seed[0] == 0 else len(body) * (seed[0] - 1) // 200
        assert oip_reuse.RequestJsonCache().decode(body, length).inputs
    assert grpc_infer.reference(targets.seeds("grpc")[0]).inputs


def test_a_reader_that_differs_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gRPC target notices a fast reader that forgets an id."""
    honest = grpc_infer.InferMessages.decode

    def forgetful(self, message, partition):
        read = honest(self, message, partition)
        return grpc_infer.Inference("digits", "", "", read.inputs, (), NO_PARAMETERS, read.timeout_s)

    monkeypatch.setattr(grpc_infer.InferMessages, "decode", forgetful)

    with pytest.raises(targets.Violation):
        targets.grpc(targets.seeds("grpc")[0])


def test_a_body_that_is_left_in_the_stream_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The HTTP/1 target notices a reader that takes an offer of an upgrade for the end of its request."""

    def forgetful(self) -> None:
        self._parser = httptools.HttpRequestParser(self)

    monkeypatch.setattr(Http1Server, "_decline", forgetful)

    with pytest.raises(targets.Violation, match="ends after 0"):
        targets.http1(targets.seeds("http1")[-1])


def test_a_reader_that_does_not_count_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The flood notices objects that are made of a few bytes each before anybody asks how many they are."""
    monkeypatch.setattr(grpc_infer, "check_fields", lambda _message: None)

    with pytest.raises(targets.Violation, match="nobody else is served"):
        targets.flood(targets.seeds("flood")[3])


@pytest.mark.parametrize("target", ["http1", "http2"])
def test_a_request_that_is_not_answered_is_found(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection targets notice an application that never answers."""

    class Silent:
        def __init__(self, honest) -> None:
            self.open, self.refuse = honest.open, honest.refuse

        async def answer(self, head, body):
            await asyncio.Event().wait()

    honest = targets.application()
    monkeypatch.setattr(targets, "application", lambda: Silent(honest))

    with pytest.raises(targets.Violation):
        targets.TARGETS[target](targets.seeds(target)[target == "http2"])
