"""One ONNX file, loaded: what it takes, what it gives, and its run."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Protocol

import onnxruntime

from edge_models.configuration.session_parameters import GraphOptimization, SessionParameters
from edge_models.errors import ModelError, ProviderError
from edge_models.model_files import ModelFiles, with_weights
from edge_models.onnxruntime_errors import load_sentence, run_error
from edge_models.settings import Provider
from gateway.core.catalog import TensorSpec
from gateway.core.errors import Fault, GatewayError
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

_GRAPH: Final[dict[GraphOptimization, onnxruntime.GraphOptimizationLevel]] = {
    "all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
    "extended": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "basic": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "none": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
}
_MOST_NAMED: Final = 4
_MOST_BYTES: Final = 1 << 40
"""For a file that an operator names on the command line."""

_FOLDED_FROM: Final = 64 << 20
"""Bytes to which constants may always be folded; beyond them as many as ``_FOLDED_TIMES`` the file has."""
_FOLDED_TIMES: Final = 8

_PARAMETERS: Final = SessionParameters()

_ARENA: Final = threading.Lock()
_ARENA_LIMIT_S: Final = 60


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


class ModelSession(Protocol):
    """A loaded model, of one file (``Session``) or of two."""

    digest: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    batchable: bool
    defaults: tuple[TensorSpec, ...]
    metadata: Mapping[str, str]
    providers: tuple[str, ...]

    def serve(self, outputs: Sequence[str] = (), *, batchable: bool) -> None:
        """Be ``batchable`` or not, and give these outputs in this order."""
        ...

    def require(self, provider: Provider) -> None:
        """Check that it really runs on ``provider``."""
        ...

    def run(
        self, inputs: Mapping[str, Array], outputs: Sequence[str] = (), options: Any = None
    ) -> list[Array]:
        """Run the model in this thread."""
        ...


class Session:
    """A loaded model.

    ``digest`` is the SHA-256 of the file; that of all its files where it keeps weights in others.
    ``batchable``: the first dimension of every input and output is one and the same free dimension, so that
    rows of several requests can share a run. ``defaults``: inputs that have a value when they are left out.
    ``metadata``: what its maker wrote into it.

    ONNX Runtime's run may be called from several threads at once and releases the interpreter lock.

    Args:
        path: of the file, for messages; it is read unless ``files`` are given.
        files: what is there, with the file's weights.
        parameters: how it runs.
        max_mem_bytes: what its runs may have together beside its weights; 0: whatever there is.

    Raises:
        ModelError: names the file.
    """

    def __init__(
        self,
        path: Path,
        files: ModelFiles | None = None,
        *,
        providers: Sequence[ProviderChoice] = (CPU,),
        intra_op_threads: int = 1,
        max_mem_bytes: int = 0,
        parameters: SessionParameters = _PARAMETERS,
    ) -> None:
        if files is None:
            try:
                files = with_weights(path.parent, path, path.read_bytes(), max_bytes=_MOST_BYTES)
            except OSError as error:
                raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
        self.digest = files.digest()
        self._path = path
        parameters = replace(parameters, intra_op_threads=parameters.intra_op_threads or intra_op_threads)
        try:
            self._session = open_session(files, providers, parameters, max_mem_bytes)
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from error
        self.providers: tuple[str, ...] = tuple(self._session.get_providers())
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        self.inputs = tuple(_spec(path, node) for node in inputs)
        self.outputs = tuple(_spec(path, node) for node in outputs)
        self.batchable = _share_batch(inputs + outputs)
        self.defaults = tuple(_spec(path, node) for node in self._session.get_overridable_initializers())
        self.metadata: Mapping[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        self._output_names = [spec.name for spec in self.outputs]
        self._texts = [spec.name for spec in self.inputs if spec.datatype == BYTES]

    def __repr__(self) -> str:
        return f"<Session {self._path} {self.digest[:19]} on {self.providers[0]}>"

    def serve(self, outputs: Sequence[str] = (), *, batchable: bool) -> None:
        """Be ``batchable`` or not, and give these outputs in this order: so a model's configuration says."""
        self._output_names = list(outputs) or self._output_names
        self.batchable = batchable

    def require(self, provider: Provider) -> None:
        """Check that the model really runs on ``provider``: ONNX Runtime falls back silently.

        Raises:
            ProviderError: when it does not.
        """
        if _PROVIDERS[provider][0] not in self.providers:
            raise ProviderError(
                f"{self._path}: '{provider}' is required, but ONNX Runtime fell back to "
                f"{', '.join(self.providers)}: look at the driver and its libraries"
            )

    def run(
        self,
        inputs: Mapping[str, Array],
        outputs: Sequence[str] = (),
        options: onnxruntime.RunOptions | None = None,
    ) -> list[Array]:
        """Run the model in this thread and return ``outputs``, or all that it serves, in their order.

        Args:
            inputs: name → array of the spec's datatype and rank; BYTES as ``bytes`` objects in UTF-8.
            outputs: names of outputs.
            options: ONNX Runtime's.

        Raises:
            GatewayError: INVALID when the model fails on the values, with ONNX Runtime's message; INTERNAL
                when the machine does, or it takes too much memory; DEADLINE when it was stopped.
        """
        feed = {name: _aligned(array) for name, array in inputs.items()}
        for name in self._texts:
            feed[name] = _texts(name, feed[name])
        try:
            results: list[Array] = self._session.run(list(outputs) or self._output_names, feed, options)
        except Exception as error:  # ONNX Runtime's errors share no base class.
            raise run_error(error) from error
        return results


class StoppableRun:
    """Runs of a model that may be stopped from another thread; once it was, every further one stops, too."""

    __slots__ = ("_options", "_session", "is_stopped")

    def __init__(self, session: ModelSession) -> None:
        self._session = session
        self._options = onnxruntime.RunOptions()
        self.is_stopped = False

    def __repr__(self) -> str:
        return f"<StoppableRun {self._session!r}{', stopped' if self.is_stopped else ''}>"

    def __call__(self, feed: Mapping[str, Array]) -> list[Array]:
        """Run the model in this thread."""
        return self._session.run(feed, (), self._options)

    def stop(self) -> None:
        """Have the run end with the operator at which it is."""
        self.is_stopped = True
        self._options.terminate = True


def open_session(
    files: ModelFiles, providers: Sequence[ProviderChoice], parameters: SessionParameters, max_mem_bytes: int
) -> onnxruntime.InferenceSession:
    """Return ONNX Runtime's session of ``files``, as a gateway has it.

    Raises:
        ModelError: it cannot be loaded; the message is the rest of a sentence that begins with the file.
    """
    if any(name == _PROVIDERS["cuda"][0] for name, _ in providers):
        # CUDA and cuDNN of the extra `gpu` lie beside Python packages, where no loader looks.
        onnxruntime.preload_dlls()
    options = _session_options(files, parameters)
    try:
        if not max_mem_bytes:
            return onnxruntime.InferenceSession(files.content, options, providers=list(providers))
        return _open_bounded(files.content, options, providers, max_mem_bytes)
    except ModelError:
        raise
    except Exception as error:  # ONNX Runtime's errors share no base class.
        if files.refused:
            raise ModelError(f"keeps weights in other files: {_named(files.refused)}") from error
        _log.debug("ONNX Runtime refused a file", exc_info=error)
        raise ModelError(f"is not a model that ONNX Runtime can load: {load_sentence(error)}") from error


def _named(sentences: Sequence[str]) -> str:
    more = f" and {len(sentences) - _MOST_NAMED} more" if len(sentences) > _MOST_NAMED else ""
    return ", ".join(sentences[:_MOST_NAMED]) + more


def _session_options(files: ModelFiles, parameters: SessionParameters) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = parameters.intra_op_threads
    options.inter_op_num_threads = parameters.inter_op_threads
    modes = onnxruntime.ExecutionMode
    options.execution_mode = modes.ORT_PARALLEL if parameters.is_parallel else modes.ORT_SEQUENTIAL
    options.enable_mem_pattern = parameters.mem_pattern
    options.graph_optimization_level = _GRAPH[parameters.graph]
    if files.external:
        contents = list(files.external.values())
        if not hasattr(options, "add_external_initializers_from_files_in_memory"):
            raise ModelError(
                f"keeps weights in other files, which ONNX Runtime {onnxruntime.__version__} cannot take: "
                "install a newer one, or save the model as one file"
            )
        options.add_external_initializers_from_files_in_memory(
            list(files.external), contents, [len(content) for content in contents]
        )
    # What ONNX Runtime would print, it also raises.
    options.log_severity_level = _SILENT
    for key, value in {
        # The event loop shares the cores with these threads.
        "session.intra_op.allow_spinning": "0",
        # Without it int8 products saturate on AVX2 and AVX-512 without VNNI: other answers on other hosts.
        "session.x64quantprecision": "1",
        # Nothing is there, so weights outside the digest are never found: all that may be is in memory.
        "session.model_external_initializers_file_folder_path": os.devnull,
        # 200 bytes can say that a constant has gigabytes.
        "optimization.constant_folding_max_output_size_in_bytes": str(
            max(_FOLDED_FROM, _FOLDED_TIMES * files.size)
        ),
    }.items():
        options.add_session_config_entry(key, value)
    return options


def _open_bounded(
    content: bytes, options: onnxruntime.SessionOptions, providers: Sequence[ProviderChoice], max_mem: int
) -> onnxruntime.InferenceSession:
    """Open a session with an arena of its own, which has a bound.

    A session takes the arena that is registered when it is made. Another that is registered after that
    belongs to the next.
    """
    memory = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    options.add_session_config_entry("session.use_env_allocators", "1")
    if not _ARENA.acquire(timeout=_ARENA_LIMIT_S):
        raise ModelError("cannot be loaded while another model, which does not end to be, is")
    try:
        onnxruntime.create_and_register_allocator(memory, onnxruntime.OrtArenaCfg({"max_mem": max_mem}))
        return onnxruntime.InferenceSession(content, options, providers=list(providers))
    finally:
        _ARENA.release()


def protocol_datatype(kind: str) -> str | None:
    """Return the protocol's name for ONNX Runtime's ``kind`` of tensor; None: it has none."""
    return _DATATYPES.get(kind)


def _spec(path: Path, node: Any) -> TensorSpec:
    datatype = protocol_datatype(node.type)
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
