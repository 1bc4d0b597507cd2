"""One ONNX file, loaded: what it takes, what it gives, and its run."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import onnxruntime

from edge_models.errors import ModelError
from edge_models.settings import Provider
from gateway.core.catalog import TensorSpec
from gateway.core.errors import Fault, GatewayError, Why, masked, printable
from gateway.core.tensor import BYTES, Array

_log = logging.getLogger(__name__)

ProviderChoice = tuple[str, dict[str, str]]

CPU: Final[ProviderChoice] = ("CPUExecutionProvider", {})
# The default, EXHAUSTIVE, measures every algorithm anew at each new batch size, for seconds.
CUDA: Final[ProviderChoice] = ("CUDAExecutionProvider", {"cudnn_conv_algo_search": "HEURISTIC"})
_PROVIDERS: Final[dict[Provider, ProviderChoice]] = {"cuda": CUDA, "cpu": CPU}

_DATATYPES: Final[dict[str, str]] = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": BYTES,
}
_SILENT: Final = 4

_KINDS_OF_THE_MACHINE: Final = frozenset({"EPFail", "EngineError"})
_WORDS_OF_THE_MACHINE: Final = ("CUDA", "CUDNN", "CUBLAS", "Failed to allocate memory", "bad_alloc")
"""Failures that other values need not have met: the accelerator's, and memory's."""

_NODE: Final = re.compile(r"while running (?P<kind>\w+) node\. Name:'(?P<name>[^']*)'")
_PLACE: Final = re.compile(r"^\S+\.(?:h|cc|cpp|cu):\d+\s+(?:[\w:&*<>,\s]*::[\w:~]+\([^)]*\)(?: const)?\s+)?")
"""Where in ONNX Runtime's source it was raised: a file, a line, perhaps a function."""

_RUN_FAILED: Final = Why("run_failed", of_model=True)
_MAX_MESSAGE: Final = 300


def choose_providers(
    wanted: Sequence[Provider], available: Sequence[str], require: Provider | None
) -> list[ProviderChoice]:
    """Return ONNX Runtime's providers in the order of ``wanted``, those passed over that are not there.

    Raises:
        ModelError: when ``require`` is not there, or nothing is left.
    """
    if require is not None and _PROVIDERS[require][0] not in available:
        raise ModelError(
            f"'{require}' is required, but this ONNX Runtime only has {', '.join(available)}: "
            "install the extra `gpu`, or drop `require`"
        )
    chosen = [_PROVIDERS[name] for name in dict.fromkeys(wanted) if _PROVIDERS[name][0] in available]
    if not chosen:
        raise ModelError(f"none of the providers {', '.join(wanted)} is there: add cpu to `providers`")
    return chosen


class Session:
    """A loaded model.

    ``digest`` is the SHA-256 of the file, which is the whole artefact: files that keep weights elsewhere
    are refused. ``batchable``: the first dimension of every input and output is one and the same free
    dimension, so that rows of several requests can share a run. ``metadata``: what its maker wrote into it.

    ONNX Runtime's run may be called from several threads at once and releases the interpreter lock.
    """

    def __init__(
        self, path: Path, *, providers: Sequence[ProviderChoice] = (CPU,), intra_op_threads: int = 1
    ) -> None:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
        self.digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self._path = path
        self._session = _open(path, content, providers, intra_op_threads)
        self.providers: tuple[str, ...] = tuple(self._session.get_providers())
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        self.inputs = tuple(_spec(path, node) for node in inputs)
        self.outputs = tuple(_spec(path, node) for node in outputs)
        self.batchable = _share_batch(inputs + outputs)
        self.metadata: Mapping[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        self._output_names = [spec.name for spec in self.outputs]
        self._texts = [spec.name for spec in self.inputs if spec.datatype == BYTES]

    def __repr__(self) -> str:
        return f"<Session {self._path} {self.digest[:19]} on {self.providers[0]}>"

    def require(self, provider: Provider) -> None:
        """Check that the model really runs on ``provider``: ONNX Runtime falls back silently.

        Raises:
            ModelError: when it does not.
        """
        if _PROVIDERS[provider][0] not in self.providers:
            raise ModelError(
                f"{self._path}: '{provider}' is required, but ONNX Runtime fell back to "
                f"{', '.join(self.providers)}: look at the driver and its libraries"
            )

    def run(self, inputs: Mapping[str, Array], outputs: Sequence[str] = ()) -> list[Array]:
        """Run the model in this thread and return ``outputs``, or all in the order of the model.

        Args:
            inputs: name → array of the spec's datatype and rank; BYTES as ``bytes`` objects in UTF-8.
            outputs: names of outputs.

        Raises:
            GatewayError: INVALID when the model fails on the values, with ONNX Runtime's message; INTERNAL
                when the machine does.
        """
        feed = {name: _aligned(array) for name, array in inputs.items()}
        for name in self._texts:
            feed[name] = _texts(name, feed[name])
        try:
            results: list[Array] = self._session.run(list(outputs) or self._output_names, feed)
        except Exception as error:  # ONNX Runtime's errors share no base class.
            raise _translated(error) from error
        return results


def _open(
    path: Path, content: bytes, providers: Sequence[ProviderChoice], intra_op_threads: int
) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = intra_op_threads
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    # What ONNX Runtime would print, it also raises.
    options.log_severity_level = _SILENT
    for key, value in {
        # The event loop shares the cores with these threads.
        "session.intra_op.allow_spinning": "0",
        # Without it int8 products saturate on AVX2 and AVX-512 without VNNI: other answers on other hosts.
        "session.x64quantprecision": "1",
        # A file is no folder, so weights outside the digest are never found.
        "session.model_external_initializers_file_folder_path": str(path),
    }.items():
        options.add_session_config_entry(key, value)
    if any(name == _PROVIDERS["cuda"][0] for name, _ in providers):
        # CUDA and cuDNN of the extra `gpu` lie beside Python packages, where no loader looks.
        onnxruntime.preload_dlls()
    try:
        return onnxruntime.InferenceSession(content, options, providers=list(providers))
    except Exception as error:  # ONNX Runtime's errors share no base class.
        if "external data" in str(error).lower():
            raise ModelError(f"{path}: keeps weights in other files; save it as one file") from error
        _log.debug("ONNX Runtime on %s", path, exc_info=error)
        raise ModelError(f"{path}: is not a model that ONNX Runtime can load ({_kind(error)})") from error


def _spec(path: Path, node: Any) -> TensorSpec:
    datatype = _DATATYPES.get(node.type)
    if datatype is None:
        hint = "; skl2onnx makes tensors with options={'zipmap': False}" if "seq(map" in node.type else ""
        raise ModelError(f"{path}: '{node.name}' is a {node.type}, which the protocol cannot carry{hint}")
    return TensorSpec(node.name, datatype, tuple(d if isinstance(d, int) else -1 for d in node.shape))


def _share_batch(nodes: Sequence[Any]) -> bool:
    # ONNX names free dimensions; two names are two sizes. An integer is a fixed one.
    firsts = {node.shape[0] if node.shape else 0 for node in nodes}
    return len(firsts) == 1 and not isinstance(firsts.pop(), int)


def _aligned(array: Array) -> Array:
    # A tensor starts wherever the wire left it; kernels may read whole words.
    return array if array.flags.aligned else array.copy()


def _texts(name: str, array: Array) -> Array:
    texts = array.copy()
    try:
        texts.ravel()[:] = [item.decode() for item in array.ravel()]
    except UnicodeDecodeError as error:
        raise GatewayError(Fault.INVALID, f"input '{name}' holds text that is not UTF-8") from error
    return texts


def _translated(error: Exception) -> GatewayError:
    """Blame the machine only for what is the machine's; a run depends on nothing else but the values."""
    text = str(error)
    if _kind(error) in _KINDS_OF_THE_MACHINE or any(word in text for word in _WORDS_OF_THE_MACHINE):
        _log.warning("a run of ONNX Runtime failed: %s", masked(text))
        return GatewayError(Fault.INTERNAL, "the model failed to run", counts=True)
    words = f"the model cannot use the values of the inputs: {_words_of(text)}"
    # An index out of range is one for any model of this signature; the rest may be this one's weakness.
    why = None if _kind(error) == "InvalidArgument" else _RUN_FAILED
    return GatewayError(Fault.INVALID, words, why=why)


def _words_of(text: str) -> str:
    """Return ONNX Runtime's message without places in its source and without values."""
    node = _NODE.search(text)
    words = text.rpartition("Status Message: ")[2] if node else text.rpartition(" : ")[2]
    sentence = printable(" ".join(masked(_PLACE.sub("", words)).split()), _MAX_MESSAGE)
    if not node:
        return sentence
    name = f" '{printable(node['name'])}'" if node["name"] else ""
    return f"{node['kind']} node{name}: {sentence}"


def _kind(error: Exception) -> str:
    return type(error).__name__
