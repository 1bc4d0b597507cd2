"""The environments of peers: whose Python makes them, and what is said when none can."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtests.peers import venv


def interpreters(folder: Path, **pips: str) -> list[tuple[str, str]]:
    """Pythons that make environments whose pip fails with the given message, or succeeds where it is empty."""
    made = []
    for name, message in pips.items():
        program = folder / name
        code = f'echo "{message}" >&2; exit 1' if message else "exit 0"
        program.write_text(
            f'#!/bin/sh\n[ "$2 $3" = "venv --clear" ] || exit 1\nrm -rf "$4"; mkdir -p "$4/bin" "$4/lib/{name}"\n'
            f"printf '#!/bin/sh\\n%s\\n' '{code}' > \"$4/bin/python\"; chmod +x \"$4/bin/python\"\n"
        )
        program.chmod(0o755)
        made.append((name, str(program)))
    return made


def test_the_first_that_can_makes_it(tmp_path: Path) -> None:
    """Packages are then looked for where that Python has them."""
    no = "ERROR: Ignored the following versions: 1.4.0 Requires-Python <3.12"

    venv.install(tmp_path / "peer", "peer==1", interpreters(tmp_path, python3_14=no, python3_12=""))

    assert not (tmp_path / "peer" / "venv" / "lib" / "python3_14").exists()
    assert (tmp_path / "peer" / "venv" / "lib" / "python3_12").is_dir()


def test_when_none_can_each_says_why(tmp_path: Path) -> None:
    """The peer by its name; and no half-made environment stays."""
    pythons = interpreters(
        tmp_path,
        python3_14="ERROR: Ignored the following versions: 1.4.0 Requires-Python <3.12",
        python3_12="ERROR: No matching distribution found for peer==1",
        python3_11="gone",
    )

    with pytest.raises(venv.NotInstallableError) as error:
        venv.install(tmp_path / "peer", "peer==1", pythons)

    assert str(error.value) == (
        "peer==1 cannot be installed: python3_14: no version for this Python; "
        "python3_12: No matching distribution found for peer==1; python3_11: is there a package index?"
    )
    assert not (tmp_path / "peer" / "venv").exists()
