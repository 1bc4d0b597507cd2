"""Commands that reach an admin port."""

from __future__ import annotations

import argparse
import asyncio

import pytest
from aiohttp import web

from gateway.admin.access import AdminAccess
from gateway.admin.listener import AdminListener
from gateway.commands.admin_call import TOKEN_VARIABLE, add_admin, call_admin, decode_answer
from tests.fakes.operator import TOKEN, TOKENS


async def call(path: str, body: bytes | None = None) -> bytes | None:
    """Call a restricted admin port whose ``/echo`` answers with method and body."""

    async def nothing() -> dict[str, int]:
        return {}

    async def echo(request: web.Request) -> web.Response:
        return web.Response(body=request.method.encode() + b" " + await request.read())

    async def broken(_request: web.Request) -> web.Response:
        return web.Response(status=500, body=b"not JSON")

    routes = [web.get("/echo", echo), web.post("/echo", echo), web.get("/broken", broken)]
    listener = AdminListener(health=nothing, metrics=nothing, policy=nothing, more=routes)
    await listener.start("127.0.0.1", 0, AdminAccess(TOKENS, hosts=("127.0.0.1",)))
    answer = await asyncio.to_thread(call_admin, f"127.0.0.1:{listener.port}", path, body)
    await listener.aclose()
    return answer


async def test_the_token_comes_from_the_environment(capsys, monkeypatch) -> None:
    """Without it the error says how to give it."""
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    assert await call("/echo") is None
    assert TOKEN_VARIABLE in capsys.readouterr().err

    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    assert await call("/echo") == b"GET "
    assert await call("/echo", b"{}") == b"POST {}"


async def test_a_token_of_a_file_with_another_end_of_line_is_one(monkeypatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, f"{TOKEN}\r\n")

    assert await call("/echo") == b"GET "


@pytest.mark.parametrize("token", ["s3cret-1\ns3cret-2", "s3cret\x7f", "s3cret-\u00e4\u20ac"])
def test_what_cannot_be_a_token_is_not_shown(capsys, monkeypatch, token: str) -> None:
    """The error of a library would have it."""
    monkeypatch.setenv(TOKEN_VARIABLE, token)

    assert call_admin("127.0.0.1:1", "/echo") is None

    error = capsys.readouterr().err
    assert TOKEN_VARIABLE in error
    assert "s3cret" not in error


async def test_a_port_that_has_no_such_path_is_the_wrong_one(capsys, monkeypatch) -> None:
    """A port for clients, most often."""
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)

    assert await call("/nowhere") is None

    assert "--admin" in capsys.readouterr().err


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b'{"a": 1}', b"\xff", b"[" * 100_000])
def test_another_servers_answer_is_told_in_a_line(capsys, answer: bytes) -> None:
    assert decode_answer("host:1", answer, dict[str, str]) is None

    [line] = capsys.readouterr().err.splitlines()
    assert "host:1" in line
    assert "--admin" in line


async def test_what_is_no_error_of_ours_is_told_by_its_status(capsys, monkeypatch) -> None:
    """A proxy between may answer in its own words."""
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)

    assert await call("/broken") is None

    assert "the gateway answered 500" in capsys.readouterr().err


@pytest.mark.parametrize("admin", ["127.0.0.1:1", "http://127.0.0.1:1/", "https://[bad", "127.0.0.1:http"])
def test_no_gateway_is_told_in_a_line(capsys, admin: str) -> None:
    """And how to name another port."""
    assert call_admin(admin, "/echo") is None

    error = capsys.readouterr().err
    assert f"no answer from {admin}" in error
    assert "--admin" in error


def test_the_port_of_this_machine_is_the_default() -> None:
    """Most call the gateway where it runs."""
    parser = argparse.ArgumentParser()
    add_admin(parser)

    assert parser.parse_args([]).admin == "http://127.0.0.1:8002"
    assert parser.parse_args(["--admin", "a.test:1"]).admin == "a.test:1"
