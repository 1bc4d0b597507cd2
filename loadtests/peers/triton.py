"""Triton Inference Server as a peer: installed into an environment of its own, with its response cache on.

The server's binary and its Python backend come in the wheel `nvidia-pytriton`. The model is a
784-256-128-10 network in numpy under the names that our digits models have, so that both servers take the
same requests. For the conformance suite there are models that answer their inputs, too.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loadtests.peers import venv

WHEEL: Final = "nvidia-pytriton==0.7.0"
CACHE_BYTES: Final = 64 << 20

_MODEL: Final = """\
import numpy as np
import triton_python_backend_utils as backend


class TritonPythonModel:
    def initialize(self, args):
        chance = np.random.default_rng(7)
        sizes = ((784, 256), (256, 128), (128, 10))
        self.layers = [chance.standard_normal(size).astype(np.float32) * 0.05 for size in sizes]

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        x = backend.get_input_tensor_by_name(request, "image").as_numpy()
        for number, layer in enumerate(self.layers):
            x = x @ layer
            if number < len(self.layers) - 1:
                x = np.maximum(x, 0)
        exponents = np.exp(x - x.max(axis=1, keepdims=True))
        probabilities = (exponents / exponents.sum(axis=1, keepdims=True)).astype(np.float32)
        return backend.InferenceResponse([backend.Tensor("probabilities", probabilities)])
"""
_CONFIG: Final = """\
name: "digits"
backend: "python"
max_batch_size: 64
input [{ name: "image" data_type: TYPE_FP32 dims: [784] }]
output [{ name: "probabilities" data_type: TYPE_FP32 dims: [10] }]
dynamic_batching { }
instance_group [{ count: 1 kind: KIND_CPU }]
"""

_ECHO: Final = """\
import triton_python_backend_utils as backend


class TritonPythonModel:
    def execute(self, requests):
        return [backend.InferenceResponse(list(map(self.answer, request.inputs()))) for request in requests]

    def answer(self, tensor):
        name = tensor.name().replace("in_", "out_")
        if name == "out_BF16":  # numpy has no such thing
            return backend.Tensor.from_dlpack(name, tensor.to_dlpack())
        return backend.Tensor(name, tensor.as_numpy())
"""
_ECHO_CONFIG: Final = """\
name: "{name}"
backend: "python"
max_batch_size: 64
input [{inputs}]
output [{outputs}]
instance_group [{{ count: 1 kind: KIND_CPU }}]
"""
ECHO_WIDTH: Final = 6


@dataclass(frozen=True, slots=True)
class Triton:
    """An installed server. ``folder`` holds its environment, backend and models."""

    folder: Path

    @classmethod
    def install(cls, folder: Path) -> Triton:
        """Install into ``folder``, unless it is there; takes a minute and 400 MB.

        Raises:
            NotInstallableError: no Python here can.
        """
        server = cls(folder)
        venv.install(folder, WHEEL)
        backends = folder / "backends"
        if not backends.exists():
            shutil.copytree(server._wheel / "backends", backends)
            python = server._site.parent.name.removeprefix("python")
            stub = server._wheel / "python_backend_stubs" / python / "triton_python_backend_stub"
            # Beside libtriton_python.so, which starts it.
            shutil.copy(stub, backends / "python")
        return server

    def command(self, *, http_port: int, grpc_port: int, cached: bool = True) -> list[str]:
        """Write the model and return the server's command line."""
        model = self.folder / "models" / "digits"
        (model / "1").mkdir(parents=True, exist_ok=True)
        (model / "1" / "model.py").write_text(_MODEL)
        cache = "response_cache { enable: true }\n" if cached else ""
        (model / "config.pbtxt").write_text(_CONFIG + cache)
        options = {
            "model-repository": self.folder / "models",
            "backend-directory": self.folder / "backends",
            "cache-directory": self._wheel / "caches",
            "cache-config": f"local,size={CACHE_BYTES}",
            "http-address": "127.0.0.1",
            "http-port": http_port,
            "grpc-address": "127.0.0.1",
            "grpc-port": grpc_port,
            "allow-metrics": "false",
            "log-error": "true",
            "log-info": "false",
        }
        binary = str(self._wheel / "bin" / "tritonserver")
        given = (f"--{name}={value}" for name, value in options.items())
        return [binary, "--disable-auto-complete-config", *given]

    def write_echo(self, name: str, datatypes: Sequence[str]) -> None:
        """Write a model with an input of each datatype and an output that is the same."""
        model = self.folder / "models" / name
        (model / "1").mkdir(parents=True, exist_ok=True)
        (model / "1" / "model.py").write_text(_ECHO)
        entry = '{{ name: "{side}_{kind}" data_type: TYPE_{typed} dims: [{width}] }}'
        listed = {
            side: ", ".join(
                entry.format(side=side, kind=kind, typed=kind.replace("BYTES", "STRING"), width=ECHO_WIDTH)
                for kind in datatypes
            )
            for side in ("in", "out")
        }
        config = _ECHO_CONFIG.format(name=name, inputs=listed["in"], outputs=listed["out"])
        (model / "config.pbtxt").write_text(config)

    def environment(self) -> dict[str, str]:
        """Return the environment that the server needs: its libraries, and a Python with numpy."""
        site = self._site
        return {
            **os.environ,  # noqa: TID251 - a child's environment, not settings of ours
            "LD_LIBRARY_PATH": f"{site / 'nvidia_pytriton.libs'}:{self._wheel / 'lib'}",
            "PYTHONPATH": str(site),
            "PATH": f"{self.folder / 'venv' / 'bin'}:{os.defpath}",
        }

    @property
    def _site(self) -> Path:
        return venv.site_packages(self.folder)

    @property
    def _wheel(self) -> Path:
        return self._site / "pytriton" / "tritonserver"
