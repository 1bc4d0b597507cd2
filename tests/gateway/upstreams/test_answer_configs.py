"""Configurations of central's models are read beside the requests, seldom, and only of models that answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.core.errors import Fault, GatewayError, Why
from gateway.upstreams.answer_configs import AGAIN_S, KNOWN_S, WAIT_S, AnswerConfigs
from gateway.wire.oip.configured_answers import NOTHING_CONFIGURED
from tests.fakes.clock import VirtualClock
from tests.fakes.virtual_time import virtual_time

FORBIDS = b'{"response_cache": {"enable": false}}'
ALLOWS = b'{"response_cache": {"enable": true}}'


class Central:
    """Answers with each of ``said`` in turn, the last for good."""

    def __init__(self, *said: bytes | Exception, wait_s: float = 0.1) -> None:
        self.said, self.asked, self.wait_s = list(said), list[str](), wait_s
        self.forgotten: list[str] = []
        self.configs = AnswerConfigs("far", self, VirtualClock(), self.forget)  # type: ignore[arg-type]

    async def config(self, model: str, version: str) -> bytes:
        assert version == ""
        self.asked.append(model)
        said = self.said.pop(0) if len(self.said) > 1 else self.said[0]
        await asyncio.sleep(self.wait_s)
        if isinstance(said, Exception):
            raise said
        return said

    async def forget(self, model: str) -> None:
        self.forgotten.append(model)

    async def learn(self, model: str = "m") -> bool:
        self.configs.learn(model)
        await asyncio.sleep(0.2)
        return self.configs.known(model).may_be_kept


@virtual_time
async def test_what_forbids_is_learned_and_what_was_kept_is_forgotten() -> None:
    central = Central(FORBIDS)

    assert central.configs.learn("m").may_be_kept, "nobody waits for it"
    await asyncio.sleep(0.2)

    assert not central.configs.known("m").may_be_kept
    assert not central.configs.learn("m").may_be_kept
    assert (central.asked, central.forgotten) == (["m"], ["m"])
    assert "1 not to be kept" in repr(central.configs)


@virtual_time
async def test_question_is_asked_of_models_that_answered_alone() -> None:
    """And once at a time, and once in KNOWN_S."""
    central = Central(ALLOWS)

    assert central.configs.known("invented") is NOTHING_CONFIGURED
    for _ in range(3):
        central.configs.learn("m")
    await central.learn()
    await asyncio.sleep(KNOWN_S - 1)
    await central.learn()
    assert central.asked == ["m"]

    await asyncio.sleep(1)
    await central.learn()
    assert (central.asked, central.forgotten) == (["m", "m"], [])


@virtual_time
async def test_other_configuration_is_obeyed_when_it_is_read() -> None:
    """Also where no answer is kept, and so nothing is learned by keeping one."""
    central = Central(ALLOWS, FORBIDS, ALLOWS, FORBIDS)
    found = []
    for _ in range(4):
        await central.learn()
        found.append(central.configs.known("m").may_be_kept)
        await asyncio.sleep(KNOWN_S)
        central.configs.known("m")
        await asyncio.sleep(0.2)
        found.append(central.configs.known("m").may_be_kept)
        await asyncio.sleep(KNOWN_S)

    assert found[:4] == [True, False, True, False]
    assert central.forgotten[:2] == ["m", "m"]


@virtual_time
@pytest.mark.parametrize(
    ("error", "may_be_kept"),
    [
        (GatewayError(Fault.NOT_FOUND, "no model"), True),
        (GatewayError(Fault.UNSUPPORTED, "no configurations"), True),
        (GatewayError(Fault.INVALID, "not as the protocol has it"), True),
        (GatewayError(Fault.UNAVAILABLE, "down"), False),
        (GatewayError(Fault.DEADLINE, "late"), False),
        (ValueError("a bug"), False),
    ],
)
async def test_what_was_known_holds_while_it_cannot_be_asked(
    error: Exception, may_be_kept: bool, caplog: Any
) -> None:
    """A server that says that it has none is another one."""
    central = Central(FORBIDS, error)
    await central.learn()

    await asyncio.sleep(KNOWN_S)
    assert await central.learn() is may_be_kept
    assert len(central.asked) == 2
    assert ("cannot be read" in caplog.text) is isinstance(error, ValueError)


@virtual_time
async def test_what_was_not_answered_is_asked_again_soon() -> None:
    """A central tier that was not up yet is heard when it is; one that hides its configurations was heard."""
    refused = GatewayError(Fault.UNAVAILABLE, "refused", why=Why("refused"))
    central = Central(refused, FORBIDS)
    await central.learn()
    assert not central.configs.is_heard("m")

    await asyncio.sleep(AGAIN_S)
    assert await central.learn() is False
    assert (central.configs.is_heard("m"), len(central.asked)) == (True, 2)

    hidden = Central(GatewayError(Fault.UNAVAILABLE, "403", why=Why("not_let_in", answered=True)))
    await hidden.learn()
    await asyncio.sleep(AGAIN_S)
    await hidden.learn()
    assert (hidden.configs.is_heard("m"), len(hidden.asked)) == (True, 1)


@virtual_time
async def test_requests_wait_for_one_question_once() -> None:
    """Who comes after one that has waited in vain goes on at once."""
    central, loop = Central(ALLOWS, wait_s=3.0), asyncio.get_running_loop()
    before = loop.time()

    await asyncio.gather(*(central.configs.wait("m") for _ in range(3)))
    assert loop.time() == pytest.approx(before + WAIT_S)
    await central.configs.wait("m")
    assert loop.time() == pytest.approx(before + WAIT_S)
    assert central.asked == ["m"]
    await central.configs.aclose()


@virtual_time
async def test_few_questions_at_a_time() -> None:
    central = Central(ALLOWS)
    for number in range(100):
        central.configs.learn(f"m{number}")
    await asyncio.sleep(0.2)
    assert len(central.asked) == 16


@virtual_time
async def test_invented_names_take_no_memory() -> None:
    central = Central(FORBIDS, ALLOWS)
    await central.learn()
    for number in range(600):
        central.configs.learn(f"m{number}")
    await asyncio.sleep(0.2)

    assert ", 256 models, 1 not to be kept" in repr(central.configs)
    assert not central.configs.known("m").may_be_kept, "what is known and matters stays"


@virtual_time
async def test_it_asks_no_more_when_it_is_closed() -> None:
    central = Central(FORBIDS)
    central.configs.learn("m")
    await asyncio.sleep(0)
    await central.configs.aclose()

    await asyncio.sleep(1)
    assert central.forgotten == []


async def test_other_gateways_are_not_asked() -> None:
    async def forget(_model: str) -> None:
        raise AssertionError("nothing is known")

    configs = AnswerConfigs("far", None, VirtualClock(), forget)
    assert configs.learn("m") is NOTHING_CONFIGURED
