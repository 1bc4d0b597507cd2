"""One ONNX file as each peer wants it: a model of Triton's Python backend, and a runtime of MLServer.

Both run ONNX Runtime with one thread, as they have one core. Triton batches requests (`dynamic_batching`)
and runs them in one instance: on one core more of them would only wait for each other. MLServer's adaptive
batching is off, its default.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Final

import onnxruntime

from loadtests.peers.mlserver import MLServer
from loadtests.peers.triton import Triton

NAME: Final = "digits"
_TRITON: Final = """\
import numpy as np
import onnxruntime
import triton_python_backend_utils as backend


class TritonPythonModel:
    def initialize(self, args):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        file = f"{args['model_repository']}/{args['model_version']}/model.onnx"
        self.session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])

    def execute(self, requests):
        images = [backend.get_input_tensor_by_name(each, "image").as_numpy() for each in requests]
        (rows,) = self.session.run(None, {"image": images[0] if len(images) == 1 else np.concatenate(images)})
        answers, start = [], 0
        for image in images:
            part = backend.Tensor("probabilities", rows[start : start + len(image)])
            answers.append(backend.InferenceResponse([part]))
            start += len(image)
        return answers
"""
_TRITON_CONFIG: Final = """\
name: "digits"
backend: "python"
max_batch_size: 64
input [{ name: "image" data_type: TYPE_FP32 dims: [784] }]
output [{ name: "probabilities" data_type: TYPE_FP32 dims: [10] }]
dynamic_batching { }
instance_group [{ count: 1 kind: KIND_CPU }]
"""
_MLSERVER: Final = """\
import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Network(MLModel):
    async def load(self) -> bool:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        file = self.settings.parameters.uri
        self.session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        image = NumpyCodec.decode_input(payload.inputs[0])
        (probabilities,) = self.session.run(None, {"image": image})
        output = NumpyCodec.encode_output("probabilities", probabilities)
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=[output])
"""


def add_runtime(peer: Path) -> None:
    """Install the ONNX Runtime that we use into the environment in ``peer``, unless it is there.

    Raises:
        subprocess.CalledProcessError: pip cannot get it.
    """
    python = str(peer / "venv" / "bin" / "python")
    command = [python, "-c", "import onnxruntime; print(onnxruntime.__version__)"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.stdout.strip() != onnxruntime.__version__:
        wheel = f"onnxruntime=={onnxruntime.__version__}"
        subprocess.run([python, "-m", "pip", "install", "--quiet", wheel], check=True)


def triton_command(triton: Triton, network: Path, *, http_port: int, grpc_port: int) -> list[str]:
    """Write a repository that has ``network`` alone; return the server's command line."""
    models = triton.folder / "onnx"
    version = models / NAME / "1"
    version.mkdir(parents=True, exist_ok=True)
    shutil.copy(network, version / "model.onnx")
    (version / "model.py").write_text(_TRITON)
    (models / NAME / "config.pbtxt").write_text(_TRITON_CONFIG)
    usual, other = f"--model-repository={triton.folder / 'models'}", f"--model-repository={models}"
    words = triton.command(http_port=http_port, grpc_port=grpc_port, cached=False)
    return [other if word == usual else word for word in words]


def mlserver_command(mlserver: MLServer, network: Path, *, http_port: int, grpc_port: int) -> list[str]:
    """Write a folder that serves ``network`` alone; return the server's command line."""
    *words, usual = mlserver.command(http_port=http_port, grpc_port=grpc_port)
    models = mlserver.folder / "onnx"
    models.mkdir(parents=True, exist_ok=True)
    shutil.copy(Path(usual) / "settings.json", models)
    shutil.copy(network, models / "model.onnx")
    (models / "network.py").write_text(_MLSERVER)
    settings = {
        "name": NAME,
        "implementation": "network.Network",
        "parameters": {"version": "1", "uri": str(models / "model.onnx")},
    }
    (models / "model-settings.json").write_text(json.dumps(settings))
    return [*words, str(models)]


def mlserver_environment(mlserver: MLServer) -> dict[str, str]:
    """Return what MLServer needs to find the runtime's code."""
    return {**mlserver.environment(), "PYTHONPATH": str(mlserver.folder / "onnx")}
