"""What a benchmark says of the Python that it ran with."""

from __future__ import annotations

import platform
import sysconfig

import pytest

from loadtests.bench import interpreter


def test_version_build_and_speed() -> None:
    """All three, in one line."""
    described = interpreter.describe()

    assert described.startswith(f"{platform.python_version()} ({interpreter.flags()}; ")
    assert described.endswith(" million calls/s)")


@pytest.mark.parametrize(
    ("name", "value", "described"),
    [
        ("CONFIG_ARGS", "'--enable-optimizations' '--with-lto'", "built with PGO"),
        ("PY_CORE_CFLAGS", "-O3 -fprofile-use -fprofile-correction", "built with PGO"),
        (
            "PGO_PROF_USE_FLAG",
            "-fprofile-use",
            "no PGO by its flags",
        ),  # what a compiler could do, for every build
        ("CONFIG_ARGS", None, "no PGO by its flags"),
    ],
)
def test_build_flags(name: str, value: str | None, described: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only flags that were used count."""
    monkeypatch.setattr(sysconfig, "get_config_var", {name: value}.get)

    assert interpreter.flags() == described
