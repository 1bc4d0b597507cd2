"""docs/models.md: every command in it works, section by section, in an empty folder."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PYTORCH = "A network from PyTorch"
EXPORTED = Path(__file__).with_name("network.onnx")
"""What torch 2.14.1 with onnxscript 0.7.2 wrote of the page's network, but for notes that name files of that machine."""
SPAN = 12
"""How many ports a section's gateways are spread over, from the first one on."""


def sections() -> dict[str, list[tuple[str, str]]]:
    """Return the blocks that are run, by section."""
    parts = re.split(r"^## (.+)$", PAGE.read_text(), flags=re.MULTILINE)
    found = {title: BLOCK.findall(text) for title, text in zip(parts[1::2], parts[2::2], strict=True)}
    return {title: blocks for title, blocks in found.items() if blocks}


def script(blocks: list[tuple[str, str]], first_port: int) -> str:
    """Return the blocks as one script, for other ports than the page's."""
    lines = ["set -euo pipefail"]
    for kind, text in blocks:
        ported = re.sub(r"\b80(0[0-2]|1[01])\b", lambda found: str(first_port + int(found[1])), text)
        ported = ported.replace("edgeway model init ", f"edgeway model init --first-port {first_port} ")
        lines.append(ported if kind == "sh" else f"python <<'PYTHON'\n{ported}PYTHON")
    return "\n".join(lines)


def blocks_here(title: str) -> list[tuple[str, str]]:
    """Return what of a section can be run here: without PyTorch its export is a file that is kept."""
    blocks = sections()[title]
    if title != PYTORCH or all(find_spec(module) for module in ("torch", "onnxscript")):
        return blocks
    export = blocks[0][1]
    samples = "import numpy as np\n" + export[export.index("rows = np.random") :]
    return [("sh", f"cp '{EXPORTED}' float.onnx\n"), ("python", samples), *blocks[1:]]


def free_ports() -> int:
    """Return the first of some ports that nobody listens on."""
    while True:
        first = random.randrange(20_000, 32_000)
        with ExitStack() as stack, suppress(OSError):
            for port in range(first, first + SPAN):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first


def test_the_page_has_what_it_promises() -> None:
    """Each kind of model is exported, certified, served, and asked over HTTP and gRPC."""
    assert len(sections()) == 6
    for title, blocks in sections().items():
        text = "".join(text for _, text in blocks)
        wanted = (
            "edgeway model init",
            "edgeway model certify",
            "edgeway serve",
            "/infer",
            "tritonclient.grpc",
        )
        assert [word for word in wanted if word not in text] == [], title


@pytest.mark.skipif(shutil.which("curl") is None, reason="the page asks with curl")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("title", sections())
def test_every_command_of_a_section_works(title: str, tmp_path: Path) -> None:
    """They are run as they stand, one after the other."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    told = tmp_path / "told"
    with (
        told.open("wb") as output,
        subprocess.Popen(
            ["bash", "-c", script(blocks_here(title), free_ports())],
            cwd=tmp_path,
            env=os.environ | {"PATH": path, "PYTHONWARNINGS": "ignore"},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        try:
            code = process.wait()
        finally:
            # The gateways are left in the background, as the page leaves them.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)

    assert code == 0, told.read_text()[-3000:]
