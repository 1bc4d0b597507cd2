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


UNTESTED = {"__init__.py", "__main__.py"}
TESTED_ELSEWHERE = {
    "edge_models/tasks/rule.py": "tests/edge_models/test_decision.py",
    "gateway/app/stacks.py": "tests/scenarios",
    "gateway/commands/arguments.py": "tests/gateway/commands/test_policy.py",
    "gateway/conformance/areas/binary.py": "tests/gateway/conformance/test_http_lies.py",
    "gateway/conformance/areas/compression.py": "tests/gateway/conformance/test_http_lies.py",
    "gateway/conformance/areas/datatypes.py": "tests/gateway/conformance/test_http_lies.py",
    "gateway/conformance/areas/errors.py": "tests/gateway/conformance/test_http_lies.py",
    "gateway/conformance/areas/generate.py": "tests/gateway/conformance/test_http_lies.py",
    "gateway/conformance/areas/grpc_calls.py": "tests/gateway/conformance/test_grpc_lies.py",
    "gateway/conformance/areas/grpc_infer.py": "tests/gateway/conformance/test_grpc_lies.py",
    "gateway/conformance/areas/grpc_stream.py": "tests/gateway/conformance/test_grpc_lies.py",
    "gateway/conformance/areas/http.py": "tests/gateway/conformance/test_http_lies.py",
    "gateway/conformance/areas/infer.py": "tests/gateway/conformance/test_http_lies.py",
    "gateway/conformance/areas/leaving.py": "tests/gateway/conformance/test_areas.py",
    "gateway/conformance/areas/model.py": "tests/gateway/conformance/test_http_lies.py",
    "gateway/conformance/areas/parameters.py": "tests/gateway/conformance/test_http_lies.py",
    "gateway/conformance/areas/parity.py": "tests/gateway/conformance/test_grpc_lies.py",
    "gateway/conformance/areas/policy_headers.py": "tests/gateway/conformance/test_http_lies.py",
    "gateway/conformance/areas/repository.py": "tests/gateway/conformance/test_http_lies.py",
    "gateway/conformance/areas/server.py": "tests/gateway/conformance/test_http_lies.py",
    "gateway/conformance/areas/statistics.py": "tests/gateway/conformance/test_http_lies.py",
    "gateway/conformance/expect.py": "tests/gateway/conformance/test_http_lies.py",
    "gateway/conformance/faults.py": "tests/gateway/conformance/test_http_lies.py",
    "gateway/conformance/grpc_wire.py": "tests/gateway/conformance/test_grpc_lies.py",
    "gateway/conformance/peer.py": "tests/gateway/conformance/test_session.py",
    "gateway/conformance/suite.py": "tests/gateway/conformance/test_session.py",
    "gateway/commands/conformance_command.py": "tests/gateway/conformance/test_session.py",
    "gateway/commands/serve.py": "tests/e2e/test_serve.py",
    "gateway/commands/demo_command.py": "tests/e2e/test_demo.py",
    "gateway/commands/demo/player.py": "tests/e2e/test_demo.py",
    "gateway/commands/demo/run.py": "tests/e2e/test_demo.py",
    "gateway/commands/demo/screen.py": "tests/e2e/test_demo.py",
    "gateway/commands/demo/stage.py": "tests/e2e/test_demo.py",
    "gateway/listeners/oip/rest/responses.py": "tests/gateway/listeners/oip/rest/test_application.py",
    "gateway/listeners/oip/rest/infer.py": "tests/gateway/listeners/oip/rest/test_application.py",
    "gateway/listeners/oip/rest/metadata.py": "tests/gateway/listeners/oip/rest/test_application.py",
    "gateway/listeners/oip/rest/management.py": "tests/gateway/listeners/oip/rest/test_application.py",
    "gateway/listeners/oip/rest/generate.py": "tests/gateway/listeners/oip/rest/test_application.py",
    "gateway/listeners/oip/grpc/unary.py": "tests/gateway/listeners/oip/grpc/test_application.py",
    "gateway/listeners/oip/grpc/infer.py": "tests/gateway/listeners/oip/grpc/test_application.py",
    "gateway/listeners/oip/grpc/statuses.py": "tests/gateway/listeners/oip/grpc/test_application.py",
    "gateway/listeners/oip/grpc/streams.py": "tests/gateway/listeners/oip/grpc/test_application.py",
    "gateway/listeners/oip/response_headers.py": "tests/gateway/listeners/oip/rest/test_application.py",
    "gateway/listeners/oip/model_control.py": "tests/gateway/listeners/oip/rest/test_application.py",
    "gateway/listeners/oip/extensions.py": "tests/gateway/listeners/oip/rest/test_application.py",
    "gateway/core/repository.py": "tests/edge_models/test_repository.py",
    "gateway/core/statistics.py": "tests/gateway/telemetry/test_statistics.py",
}
"""What is only worth testing whole, and where that is done."""


def has_test(path: Path) -> bool:
    """cache/levels/redis.py is tested by tests/cache/levels/test_redis.py or tests/cache/test_levels_redis.py."""
    package, *folders = path.relative_to(ROOT).parts[:-1]
    tests = ROOT / "tests" / package
    flat = tests / f"test_{'_'.join((*folders, path.stem))}.py"
    return flat.exists() or tests.joinpath(*folders, f"test_{path.stem}.py").exists()


def has_code(path: Path) -> bool:
    """Whether there is more than declarations: a Protocol's methods, say, leave nothing to test."""
    return any(not is_declaration(function) for function in functions(path))


def is_declaration(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether its body is a docstring, ``...``, or both."""
    return all(isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) for line in function.body)


def test_every_module_has_its_test_file() -> None:
    """tests/ mirrors the packages; the demo's processes are tested by running the demo."""
    missing = [
        relative(path)
        for path in MODULES
        if path.name not in UNTESTED
        and relative(path) not in TESTED_ELSEWHERE
        and path.relative_to(ROOT).parts[0] != "loadtests"
        and "samples" not in path.parts
        and has_code(path)
        and not has_test(path)
    ]

    assert not missing
    assert all((ROOT / place).exists() for place in TESTED_ELSEWHERE.values())


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
