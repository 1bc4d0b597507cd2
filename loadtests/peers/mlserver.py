"""MLServer as a peer: installed into an environment of its own, with models that are a few lines of numpy.

Its digits model is the network that Triton's is; `echo` models answer their inputs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from loadtests.peers import venv

WHEEL: Final = "mlserver==1.7.1"
ECHO_WIDTH: Final = 6

_MODELS: Final = """\
import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput

FIELDS = {"datatype", "shape", "data"}


class Digits(MLModel):
    async def load(self) -> bool:
        chance = np.random.default_rng(7)
        sizes = ((784, 256), (256, 128), (128, 10))
        self.layers = [chance.standard_normal(size).astype(np.float32) * 0.05 for size in sizes]
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        x = NumpyCodec.decode_input(payload.inputs[0])
        for number, layer in enumerate(self.layers):
            x = x @ layer
            if number < len(self.layers) - 1:
                x = np.maximum(x, 0)
        exponents = np.exp(x - x.max(axis=1, keepdims=True))
        probabilities = (exponents / exponents.sum(axis=1, keepdims=True)).astype(np.float32)
        output = NumpyCodec.encode_output("probabilities", probabilities)
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=[output])


class Echo(MLModel):
    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        outputs = [
            ResponseOutput(name=each.name.replace("in_", "out_"), **each.model_dump(include=FIELDS))
            for each in payload.inputs
        ]
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=outputs)
"""


@dataclass(frozen=True, slots=True)
class MLServer:
    """An installed server. ``folder`` holds its environment and models."""

    folder: Path

    @classmethod
    def install(cls, folder: Path) -> MLServer:
        """Install into ``folder``, unless it is there; takes a minute or two.

        Raises:
            NotInstallableError: no Python here can.
        """
        server = cls(folder)
        venv.install(folder, WHEEL)
        return server

    def command(self, *, http_port: int, grpc_port: int) -> list[str]:
        """Write settings and the digits model; return the server's command line."""
        models = self.folder / "models"
        models.mkdir(parents=True, exist_ok=True)
        (models / "models.py").write_text(_MODELS)
        settings = {
            "host": "127.0.0.1",
            "http_port": http_port,
            "grpc_port": grpc_port,
            "metrics_port": 0,
            "metrics_endpoint": None,
            "parallel_workers": 0,
            "debug": False,
        }
        (models / "settings.json").write_text(json.dumps(settings))
        image = {"name": "image", "datatype": "FP32", "shape": [-1, 784]}
        probabilities = {"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]}
        self._write("digits", "models.Digits", [image], [probabilities])
        return [str(self._program), "start", str(models)]

    def write_echo(self, name: str, datatypes: Sequence[str]) -> None:
        """Write a model with an input of each datatype and an output that is the same."""
        sides = [
            [{"name": f"{side}_{kind}", "datatype": kind, "shape": [-1, ECHO_WIDTH]} for kind in datatypes]
            for side in ("in", "out")
        ]
        self._write(name, "models.Echo", *sides)

    def environment(self) -> dict[str, str]:
        """Return the environment that the server needs: its own programs, and where the models' code is."""
        return {
            **os.environ,  # noqa: TID251 - a child's environment, not settings of ours
            "PYTHONPATH": str(self.folder / "models"),
            "PATH": f"{self._program.parent}:{os.defpath}",
        }

    def _write(
        self,
        name: str,
        implementation: str,
        inputs: Sequence[Mapping[str, Any]],
        outputs: Sequence[Mapping[str, Any]],
    ) -> None:
        folder = self.folder / "models" / name
        folder.mkdir(parents=True, exist_ok=True)
        settings = {
            "name": name,
            "implementation": implementation,
            "inputs": inputs,
            "outputs": outputs,
            "versions": ["1"],
            "parameters": {"version": "1"},
        }
        (folder / "model-settings.json").write_text(json.dumps(settings))

    @property
    def _program(self) -> Path:
        return self.folder / "venv" / "bin" / "mlserver"
