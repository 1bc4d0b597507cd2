"""The rules of the house that no linter knows: sizes, mirrors, and who may read what."""

from __future__ import annotations

import ast
import subprocess
from collections import defaultdict
from collections.abc import Collection
from graphlib import TopologicalSorter
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


UNTESTED = {"__init__.py", "__main__.py"}
TESTED_AS_A_FOLDER = {"gateway/conformance/areas": "tests/gateway/conformance/test_areas.py"}
"""Folders of which one test demands that every module is tested: here, that each area notices a lie."""


def has_test(path: Path) -> bool:
    """cache/levels/redis.py is tested by tests/cache/levels/test_redis.py."""
    return (ROOT / "tests" / path.relative_to(ROOT)).with_name(f"test_{path.name}").exists()


def has_code(path: Path) -> bool:
    """Whether there is more than declarations: a Protocol's methods, say, leave nothing to test."""
    return any(not is_declaration(function) for function in functions(path))


def is_declaration(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether its body is a docstring, ``...``, or both."""
    return all(isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) for line in function.body)


def test_every_module_has_its_test_file() -> None:
    """tests/ mirrors the packages, folder by folder and file by file."""
    missing = [
        relative(path)
        for path in MODULES
        if path.name not in UNTESTED
        and path.relative_to(ROOT).parts[0] != "loadtests"
        and "samples" not in path.parts
        and relative(path.parent) not in TESTED_AS_A_FOLDER
        and has_code(path)
        and not has_test(path)
    ]

    assert not missing
    assert all((ROOT / test).exists() for test in TESTED_AS_A_FOLDER.values())


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


def modules_by_name() -> dict[str, Path]:
    """Every module of the packages by its dotted name."""
    named = {}
    for path in MODULES:
        parts = path.relative_to(ROOT).with_suffix("").parts
        named[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return named


def imports_of(path: Path, known: Collection[str]) -> set[str]:
    """The modules that a file imports, at its top or in a function; not those for the type checker alone."""
    found: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(path.read_text())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= members & set(known) or {node.module}
        waiting.extend(ast.iter_child_nodes(node))
    return found & set(known)


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    modules = modules_by_name()
    return {name: imports_of(path, modules.keys()) for name, path in modules.items()}


def test_no_imports_go_in_a_circle(imports: dict[str, set[str]]) -> None:
    """Nor do those within functions: TopologicalSorter names the modules of a circle."""
    list(TopologicalSorter(imports).static_order())


def test_no_rooms_import_each_other_in_a_circle(imports: dict[str, set[str]]) -> None:
    """A room is a folder; one within another may import it and be imported by it."""
    folders = {name: str(path.parent) for name, path in modules_by_name().items()}
    rooms = defaultdict(set)
    for name, imported in imports.items():
        for room, other in ((folders[name], folders[each]) for each in imported):
            if not f"{room}/".startswith(f"{other}/") and not other.startswith(f"{room}/"):
                rooms[room].add(other)

    list(TopologicalSorter(rooms).static_order())


def test_conformance_is_imported_by_its_command_alone(imports: dict[str, set[str]]) -> None:
    """The suite judges any server: nothing of ours may come to need it."""
    suite = "gateway.conformance"
    importers = {
        name
        for name, imported in imports.items()
        if not name.startswith(suite) and any(other.startswith(suite) for other in imported)
    }

    assert importers == {"gateway.commands.conformance_command"}


def code_of(path: Path) -> str:
    """The code of a module, without comments and docstrings."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [item for item in node.body if not is_docstring(item)] or [ast.Pass()]
    return ast.unparse(tree)


def is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


OF_MODELS = ("grpc", "oip", "x-edgeway", "inference-")


@pytest.mark.parametrize("path", sorted((ROOT / "gateway" / "http").rglob("*.py")), ids=relative)
def test_the_http_engine_knows_no_protocol_of_models(path: Path) -> None:
    """Decision 0018: what it has to know of their headers and statuses it is given."""
    code = code_of(path).lower()

    assert [word for word in OF_MODELS if word in code] == []


def test_grpcio_is_imported_by_the_conformance_suite_alone() -> None:
    """And by the bench: no serving process needs it, so it comes with an extra."""
    importers = {relative(path) for path in MODULES if imports_of(path, {"grpc", "grpc.aio"})}

    assert {
        name for name in importers if not name.startswith(("gateway/conformance/", "loadtests/"))
    } == set()


LOADTESTS_MAY_IMPORT = (
    "loadtests",
    "cache.features",
    "cache.levels.level",
    "cache.levels.memory",
    "cache.levels.redis",
    "cache.levels.redis_settings",
    "cache.simulation",
    "edge_models.certificate",
    "edge_models.executors",
    "edge_models.predictor",
    "edge_models.registry",
    "edge_models.samples",
    "edge_models.settings",
    "edge_models.split_session",
    "edge_models.splitting",
    "gateway.app.connector",
    "gateway.app.endpoint_set",
    "gateway.app.endpoints",
    "gateway.app.observe",
    "gateway.app.process",
    "gateway.commands.certify",
    "gateway.commands.demo.zipf",
    "gateway.config.policy_file",
    "gateway.config.settings",
    "gateway.core",
    "gateway.http.framing",
    "gateway.wire.oip",
    "resilience.budget",
    "resilience.hedge",
    "resilience.latencies",
    "resilience.settings",
    "routing",
)
"""The program as a whole, its models, codecs to build requests with, and what a request takes too little time in to
be measured with one: the choice of an endpoint and of a member, and a hit in L1; hedging, of which waits are measured;
the two stages of a model, of which one is measured against the other; policies of eviction, whose hits are counted; and
look-ups in Redis, against its client's. No part that is measured through a socket."""


def test_load_tests_measure_from_outside(imports: dict[str, set[str]]) -> None:
    """And nothing that is installed imports them: they are not in the wheel."""
    of_load_tests = {
        f"{name} imports {imported}"
        for name in imports
        if name.startswith("loadtests")
        for imported in imports[name]
        if not imported.startswith(LOADTESTS_MAY_IMPORT)
    }
    of_packages = {
        name
        for name in imports
        if not name.startswith("loadtests")
        and any(imported.startswith("loadtests") for imported in imports[name])
    }

    assert (of_load_tests, of_packages) == (set(), set())
