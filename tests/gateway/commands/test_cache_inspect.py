"""`edgeway cache inspect` against an admin port."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from gateway.__main__ import main
from gateway.commands.cache_inspect import lines
from gateway.core.cache_inspection import HeldAnswer, HeldOutput, Inspection, LevelFinding
from tests.gateway.admin.test_cache_routes import Cache
from tests.gateway.commands.test_cache_stats import run

BODY = b'{"inputs": [{"name": "x", "shape": [1], "datatype": "INT64", "data": [9007199254740993]}]}'
KEY = "ab" * 32


def held(fresh_s: float, useful_s: float, digest: str = "sha256:1") -> HeldAnswer:
    output = HeldOutput("scores", "FP32", (1, 10), 40)
    return HeldAnswer(fresh_s, useful_s, 1.5, 900, "digits", "2", "central", True, "there", digest, (output,))


@pytest.fixture
def request_file(tmp_path: Path) -> Path:
    file = tmp_path / "request.json"
    file.write_bytes(BODY)
    return file


async def test_a_request_is_asked_about_as_it_is(capsys, request_file: Path) -> None:
    """Byte by byte, with whose it is and from where."""
    cache = Cache()
    more = "--tenant acme --version 2 --client-address 10.0.0.1 --residency eu --header X-Team=a=b".split()
    code = await run(cache, "inspect", "--model", "digits", "--request", str(request_file), *more)

    [question] = cache.questions
    assert code == 0
    assert bytes(question.request) == BODY
    assert (question.tenant, question.version, question.client_address) == ("acme", "2", "10.0.0.1")
    assert (question.residency, question.headers) == ("eu", {"x-team": "a=b"})
    assert capsys.readouterr().out.splitlines() == ["key        ab", "route      digits"]


async def test_a_request_may_come_from_a_pipe(capsys, monkeypatch) -> None:
    cache = Cache()
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(BODY)))
    code = await run(cache, "inspect", "--model", "digits", "--request", "-", "--json")

    assert code == 0
    assert cache.questions[0].body == BODY
    assert json.loads(capsys.readouterr().out)["key"] == "ab"


async def test_a_key_is_asked_about(capsys) -> None:
    """This gateway knows only requests: what it refuses is told."""
    assert await run(Cache(), "inspect", KEY) == 1
    assert "unknown model" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a KEY"),
        ([KEY, "--model", "m", "--request", "FILE"], "name a KEY"),
        (["--request", "FILE"], "--model"),
        (["--model", "m", "--request", "nowhere.json"], "nowhere.json: No such file"),
        (["--model", "m", "--request", "BROKEN"], "it is no JSON"),
    ],
)
def test_what_cannot_be_asked(capsys, request_file: Path, arguments: list[str], message: str) -> None:
    """Nothing is sent then, and the exit code is 2."""
    broken = request_file.with_name("broken.json")
    broken.write_bytes(b'{"inputs": [}')
    files = {"FILE": str(request_file), "BROKEN": str(broken)}

    assert main(["cache", "inspect", *(files.get(word, word) for word in arguments)]) == 2

    assert message in capsys.readouterr().err


def test_headers_have_a_value(capsys) -> None:
    with pytest.raises(SystemExit):
        main(["cache", "inspect", "--header", "x-team"])

    assert "NAME=VALUE" in capsys.readouterr().err


def test_findings_for_people() -> None:
    """What is held where, until when, and whence; and why nothing is."""
    found = Inspection(
        key="ab",
        route="digits",
        model="digits",
        version="2",
        tenant="acme",
        residency="anywhere",
        scope="tenant",
        reasons=("an endpoint forbids it",),
        levels=(
            LevelFinding("l1", "fresh", worker=1, answer=held(3.25, 63.25)),
            LevelFinding("l1", "stale", worker=2, answer=held(-2.0, 58.0, digest="")),
            LevelFinding("l1", "expired", answer=held(-80.0, -20.0)),
            LevelFinding("l2", "absent", level_state="<RedisLevel>"),
        ),
    )

    assert lines(found) == [
        "key        ab",
        "route      digits",
        "model      digits 2",
        "tenant     acme",
        "residency  anywhere",
        "shared by  this tenant within its residency class",
        "not kept   an endpoint forbids it",
        "l1 of worker 1: fresh, for 3.2 s more",
        "  of digits 2, from central in there, certified",
        "  by sha256:1",
        "  computed in 1.5 ms; takes 900 B",
        "  scores  FP32 [1, 10]  40 B",
        "l1 of worker 2: stale, since 2.0 s; of use for 58.0 s more",
        "  of digits 2, from central in there, certified",
        "  computed in 1.5 ms; takes 900 B",
        "  scores  FP32 [1, 10]  40 B",
        "l1: expired, since 80.0 s",
        "  of digits 2, from central in there, certified",
        "  by sha256:1",
        "  computed in 1.5 ms; takes 900 B",
        "  scores  FP32 [1, 10]  40 B",
        "l2: nothing: <RedisLevel>",
    ]


def test_no_key_is_told() -> None:
    assert lines(Inspection(reasons=("no cache",))) == ["key        none", "not kept   no cache"]


def test_help_has_examples(capsys) -> None:
    with pytest.raises(SystemExit):
        main(["cache", "inspect", "--help"])

    assert "edgeway cache inspect --model" in capsys.readouterr().out.partition("examples:")[2]


@pytest.mark.parametrize("key", ["abc", "g" * 64, "ab" * 33])
def test_a_key_that_is_none_is_an_argument_that_is_wrong(capsys, key: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["cache", "inspect", key])

    assert ended.value.code == 2
    assert "64 hexadecimal digits" in capsys.readouterr().err
