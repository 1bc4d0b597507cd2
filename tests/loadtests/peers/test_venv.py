"""The environments of peers: whose Python makes them, and what is said when none can."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtests.peers import venv


def scripted(folder: Path, monkeypatch: pytest.MonkeyPatch, **pips: str) -> None:
    """Interpreters that make environments whose pip ends as told: with what it says, or well with nothing."""
    made = []
    for name, said in pips.items():
        program = folder / name
        code = f'echo "{said}" >&2; exit 1' if said else "exit 0"
        program.write_text(
            f'#!/bin/sh\n[ "$2" = venv ] || exit 0\nmkdir -p "$4/bin" "$4/lib/{name}"\n'
            f"printf '#!/bin/sh\\n%s\\n' '{code}' > \"$4/bin/python\"; chmod +x \"$4/bin/python\"\n"
        )
        program.chmod(0o755)
        made.append((name, str(program)))
    monkeypatch.setattr(venv, "_candidates", lambda: iter(made))


def test_the_first_that_can_makes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packages are then looked for where that Python has them."""
    no = "ERROR: Ignored the following versions: 1.4.0 Requires-Python <3.12"
    scripted(tmp_path, monkeypatch, python3_14=no, python3_12="")
    monkeypatch.setattr(venv, "_run", _in_place_of_clear(venv._run, tmp_path / "peer" / "venv"))

    venv.install(tmp_path / "peer", "peer==1")

    assert (tmp_path / "peer" / "venv" / "lib" / "python3_12").is_dir()


def _in_place_of_clear(run, folder: Path):
    def cleared(*words: str):
        if "--clear" in words:
            import shutil

            shutil.rmtree(folder, ignore_errors=True)
        return run(*words)

    return cleared


def test_when_none_can_each_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The peer by its name; and no half-made environment stays."""
    scripted(
        tmp_path,
        monkeypatch,
        python3_14="ERROR: Ignored the following versions: 1.4.0 Requires-Python <3.12",
        python3_12="ERROR: No matching distribution found for peer==1",
        python3_11="gone",
    )

    with pytest.raises(venv.NotInstallableError) as error:
        venv.install(tmp_path / "peer", "peer==1")

    assert str(error.value) == (
        "peer==1 cannot be installed: python3_14: no version for this Python; "
        "python3_12: No matching distribution found for peer==1; python3_11: is there a package index?"
    )
    assert not (tmp_path / "peer" / "venv").exists()
