"""The rules of the house that no linter knows: sizes, mirrors, and who may read what."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("gateway", "routing", "cache", "resilience", "edge_models", "loadtests")
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 50
MAX_POSITIONAL = 5

MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(path.read_text())
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_budget(path: Path) -> None:
    """A file has at most 400 lines, a function 50, and 5 positional parameters."""
    assert path.read_text().count("\n") <= MAX_FILE_LINES

    for function in functions(path):
        length = (function.end_lineno or 0) - function.lineno + 1
        positional = [
            a.arg for a in (*function.args.posonlyargs, *function.args.args) if a.arg not in {"self", "cls"}
        ]
        assert length <= MAX_FUNCTION_LINES, f"{function.name} has {length} lines"
        assert len(positional) <= MAX_POSITIONAL, f"{function.name} takes {positional}"


def test_every_module_has_its_test_file() -> None:
    """tests/ mirrors the packages: routing/geo.py is tested by tests/routing/test_geo.py."""
    exempt = {"__init__.py", "__main__.py"}
    missing = []
    for path in MODULES:
        parts = path.relative_to(ROOT).parts
        if path.name in exempt or parts[0] == "loadtests" or parts[1:2] == ("samples",) or len(parts) == 1:
            continue
        name = "_".join((*parts[1:-1], path.stem))
        if not (ROOT / "tests" / parts[0] / f"test_{name}.py").exists():
            short = ROOT / "tests" / parts[0] / f"test_{path.stem}.py"
            if not short.exists():
                missing.append(relative(path))

    assert not missing


def test_gateway_package_is_empty() -> None:
    """Importing gateway.core must pull in nothing else."""
    assert not (ROOT / "gateway" / "__init__.py").read_text().strip()


def test_no_path_of_one_machine_is_committed() -> None:
    """No tracked text names a path of a developer's machine."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout: nothing is tracked here")
    home = "/" + "root/"
    found = []
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.suffix in {".py", ".md", ".yaml", ".yml", ".toml", ".json", ".sh", ""} and path.is_file():
            text = path.read_text(errors="ignore")
            if home in text or ("/" + "work/") in text:
                found.append(name)

    assert not found
