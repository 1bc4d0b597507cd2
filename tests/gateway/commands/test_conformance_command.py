"""The arguments of `edgeway conformance`, and what it needs; what it does is in tests/gateway/conformance."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gateway.__main__ import main


def test_help_imports_neither_the_suite_nor_grpc() -> None:
    code = (
        "import sys\nfrom gateway.__main__ import main\ntry:\n main(['conformance', '--help'])\n"
        "except SystemExit: pass\nsys.exit(any('gateway.conformance.suite' in name or name == 'grpc' for name in sys.modules))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert ended.returncode == 0, ended.stderr
    for word in ("exit codes:", "--junit FILE", "unsupported", "policy-headers"):
        assert word in ended.stdout


@pytest.mark.parametrize(
    "arguments", [("--batch", "0"), ("--seed", "-1"), ("--timeout", "nan"), ("--only", "nothing")], ids=str
)
def test_arguments_that_are_none_are_refused(arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["conformance", "x", *arguments])


def test_without_grpcio_it_names_the_extra() -> None:
    """And how to install it; no traceback."""
    code = (
        "import sys\nsys.modules['grpc'] = None\nfrom gateway.__main__ import main\n"
        "sys.exit(main(['conformance', '127.0.0.1:9']))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert ended.returncode == 1
    assert ended.stderr.startswith("edgeway: grpc is missing, which the extra `conformance` brings: ")
    assert "[conformance]" in ended.stderr
