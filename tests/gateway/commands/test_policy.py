"""`edgeway policy`, and the program around it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.__main__ import main
from tests.gateway.policies import GOOD, write_policy


def test_good_policy(tmp_path: Path, capsys) -> None:
    """A good file exits 0 and says what it holds."""
    assert main(["policy", "validate", str(write_policy(tmp_path))]) == 0

    assert "good. generation 1, 2 regions, 1 endpoint, 1 route, 2 tenants" in capsys.readouterr().out


def test_every_problem_is_reported_at_once(tmp_path: Path, capsys) -> None:
    """Ops mend a file in one go, not error by error."""
    text = GOOD.replace("endpoints: [central]", "endpoints: [centrall]").replace(
        "regions: [there]", "regions: [where]"
    )

    assert main(["policy", "validate", str(write_policy(tmp_path, text))]) == 2

    errors = capsys.readouterr().err
    assert "EW103" in errors
    assert "EW102" in errors


def test_what_is_no_policy(tmp_path: Path, capsys) -> None:
    """Line, field and what was expected; exit 2."""
    file = write_policy(tmp_path, GOOD.replace("generation: 1", "generation: one"))

    assert main(["policy", "validate", str(file)]) == 2

    assert f"{file}:1:1: generation: expected a whole number, and here is 'one'" in capsys.readouterr().err


def test_all_that_is_misshapen_is_reported_at_once(tmp_path: Path, capsys) -> None:
    """Each on a line of its own, with its place."""
    text = GOOD.replace("generation: 1", "generation: 012").replace("model: digits", "modle: digits")

    assert main(["policy", "validate", str(write_policy(tmp_path, text))]) == 2

    first, second = capsys.readouterr().err.splitlines()
    assert "policy.yaml:1:1: generation: " in first
    assert "`012` as 10 (octal), YAML 1.2 as 12" in first
    assert 'routes[0] ("digits").match.modle: unknown field; did you mean `model`?' in second


def test_strict_makes_warnings_errors(tmp_path: Path) -> None:
    """In CI a warning may be enough to stop."""
    file = write_policy(tmp_path, GOOD.replace("failover: {here: [there], there: [here]}\n", ""))

    assert main(["policy", "validate", str(file)]) == 0
    assert main(["policy", "validate", "--strict", str(file)]) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["serve", "--help"],
        ["demo", "--help"],
        ["policy", "validate", "--help"],
        ["policy", "explain", "--help"],
        ["model", "certify", "--help"],
    ],
)
def test_help_has_examples(arguments: list[str], capsys) -> None:
    """Every command shows a line to copy."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)

    assert caught.value.code == 0
    assert "examples:" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [["--requests", "0"], ["--requests", "-5"], ["--rate", "nan"], ["--rate", "x"], ["--rate", "0"]],
)
def test_demo_that_cannot_run_is_refused(arguments: list[str], capsys) -> None:
    """A count or a rate that makes no sense ends with the usage, before anything is started."""
    with pytest.raises(SystemExit) as caught:
        main(["demo", *arguments])

    assert caught.value.code == 2
    assert "must be a" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["policy", "validate", "POLICY"],
        ["policy", "explain", "POLICY", "--model", "digits", "--client-country", "DE"],
    ],
    ids=" ".join,
)
def test_policies_need_no_onnxruntime(arguments: list[str], tmp_path: Path) -> None:
    """Who only checks policies installs no runtime for models: its import is refused here, and nobody asks."""
    file = str(write_policy(tmp_path))
    program = (
        "import sys; sys.modules.update(dict.fromkeys(['onnxruntime', 'onnx', 'grpc', 'aiohttp', 'redis']))\n"
        "from gateway.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [file if argument == "POLICY" else argument for argument in arguments]

    ran = subprocess.run(
        [sys.executable, "-c", program, *command], capture_output=True, text=True, check=False
    )

    assert ran.returncode == 0
    assert all(": note EW3" in line for line in ran.stderr.splitlines())


def test_bad_settings_exit_2(tmp_path: Path, capsys) -> None:
    """The program itself reports a file that is wrong."""
    file = tmp_path / "settings.yaml"
    file.write_text("role: edge\nregion: x\n")

    assert main(["serve", str(file)]) == 2
    assert f"edgeway: {file}:1:1: role: an edge needs a policy" in capsys.readouterr().err


def test_validate_shows_what_is_old_and_is_content_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Even with --strict: today's files keep working."""
    file = write_policy(tmp_path)

    assert main(["policy", "validate", "--strict", str(file)]) == 0

    shown = capsys.readouterr()
    assert shown.err.count(": note EW301: endpoints.") == 1
    assert shown.out.endswith(", 1 note\n")
