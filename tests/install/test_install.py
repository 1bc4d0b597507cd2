"""Each way of installing that the README names, in an empty environment, and the program used from there.

They need a package index; `make test-install` runs them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edge_models.samples import digits
from tests.fakes.redis_server import free_port

pytestmark = [pytest.mark.install, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("gateway", "routing", "cache", "resilience", "edge_models")
SETTINGS = """\
role: central
region: home
listen: {{http: '127.0.0.1:{http}', grpc: '127.0.0.1:{grpc}', admin: '127.0.0.1:{admin}'}}
models: {{repository: '{repository}'}}
"""
SAMPLES = "from edge_models.samples import digits; print(digits.CENTRAL_REPOSITORY)"


class Environment:
    """An empty virtual environment, and commands in it, away from the checkout."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True, capture_output=True)
        self.bin = folder / "venv" / "bin"

    def pip(self, *words: object) -> None:
        pip = [self.bin / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        ended = self.run(*pip, "--constraint", ROOT / "constraints.txt", *words)
        assert ended.returncode == 0, ended.stderr

    def run(self, *words: object) -> subprocess.CompletedProcess[str]:
        # What the checkout's own run has set must not reach it.
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        return subprocess.run(
            [str(word) for word in words],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    def edgeway(self, *words: object) -> subprocess.CompletedProcess[str]:
        return self.run(self.bin / "edgeway", *words)

    @contextmanager
    def serving_samples(self) -> Iterator[int]:
        """`edgeway serve` with the sample models that came along; hands out its HTTP port."""
        repository = self.run(self.bin / "python", "-c", SAMPLES).stdout.strip()
        assert Path(repository).is_relative_to(self.folder), repository
        ports = {name: free_port() for name in ("http", "grpc", "admin")}
        settings, log = self.folder / "central.yaml", self.folder / "log"
        settings.write_text(SETTINGS.format(repository=repository, **ports))
        with log.open("wb") as output:
            process = subprocess.Popen(
                [self.bin / "edgeway", "serve", settings], cwd=self.folder, stdout=output, stderr=output
            )
        try:
            deadline = time.monotonic() + 60
            while " is ready" not in log.read_text():
                assert process.poll() is None and time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            yield ports["http"]
        finally:
            process.terminate()
            assert process.wait(30) == 0, log.read_text()


def infer(port: int) -> Any:
    image = digits.as_input(digits.load_split("test")[0])[:1]
    entry = {"name": "image", "shape": [1, 784], "datatype": "FP32", "data": image.ravel().tolist()}
    body = json.dumps({"inputs": [entry]}).encode()
    url = f"http://127.0.0.1:{port}/v2/models/digits/infer"
    with urllib.request.urlopen(urllib.request.Request(url, body), timeout=10) as answer:
        return json.loads(answer.read())


def test_pip_install_of_a_checkout(tmp_path: Path) -> None:
    """`pip install '.[cpu]'` is enough to serve; what needs another extra says which."""
    there = Environment(tmp_path)
    there.pip(f"{ROOT}[cpu]")

    with there.serving_samples() as port:
        assert infer(port)["outputs"][0]["shape"] == [1, 10]
    for command in (
        ("demo",),
        ("model", "certify"),
        ("model", "quantize"),
        ("policy", "explain"),
        ("conformance",),
    ):
        assert there.edgeway(*command, "--help").returncode == 0
    for words, extra in ((("demo",), "demo"), (("conformance", "127.0.0.1:9"), "conformance")):
        ended = there.edgeway(*words)
        assert (ended.returncode, "Traceback" in ended.stderr) == (1, False)
        command = f"{there.bin / 'python'} -m pip install '{ROOT}[{extra}]'"
        assert f"extra `{extra}` brings: {command}" in ended.stderr


def built(folder: Path) -> Path:
    """The wheel that `python -m build` makes from the source archive."""
    ended = subprocess.run(
        [sys.executable, "-m", "build", "--outdir", folder / "dist", ROOT],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr + ended.stdout
    (wheel,) = (folder / "dist").glob("*.whl")
    return wheel


def test_a_wheel_has_every_file(tmp_path: Path) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", *PACKAGES], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert set(zipfile.ZipFile(built(tmp_path)).namelist()) >= set(tracked.stdout.split())


@pytest.mark.nightly
def test_a_wheel_runs_elsewhere(tmp_path: Path) -> None:
    """It runs the demo and a server."""
    wheel = built(tmp_path)

    there = Environment(tmp_path)
    there.pip(f"{wheel}[cpu,demo]")
    with there.serving_samples() as port:
        assert infer(port)["outputs"][0]["shape"] == [1, 10]
    demo = there.edgeway("demo", "--requests", 7200, "--rate", 300)

    result = json.loads((tmp_path / "out" / "demo.json").read_text())
    # So few requests meet each image too rarely for the promised hit rate; all else must hold.
    assert all("cache hit rate" in promise for promise in result["broken_promises"]), demo.stdout
    assert result["requests"] == 7200
    assert demo.returncode == (1 if result["broken_promises"] else 0)


def test_the_build_for_gpus_resolves(tmp_path: Path) -> None:
    """`pip install '.[gpu]'` finds all that it names, for this Python; nothing of it is downloaded."""
    report = tmp_path / "report.json"
    words = ["install", "--quiet", "--dry-run", "--ignore-installed", "--report", report, f"{ROOT}[gpu]"]
    ended = subprocess.run([sys.executable, "-m", "pip", *words], capture_output=True, text=True, check=False)

    assert ended.returncode == 0, ended.stderr
    names = {each["metadata"]["name"] for each in json.loads(report.read_text())["install"]}
    assert "onnxruntime-gpu" in names
    assert "onnxruntime" not in names
