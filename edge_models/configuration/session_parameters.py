"""What a model's configuration orders of ONNX Runtime: the parameters that Triton's backend names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from edge_models.configuration.model_configuration import ModelConfiguration
from edge_models.errors import ModelError
from gateway.core.errors import printable

GraphOptimization = Literal["all", "extended", "basic", "none"]

_LEVELS: Final[dict[int, GraphOptimization]] = {-1: "basic", 1: "extended", 2: "none"}
_MOST_THREADS: Final = 256
_BOOLEANS: Final = {"true": 1, "1": 1, "false": 0, "0": 0}


@dataclass(frozen=True, slots=True)
class SessionParameters:
    """How ONNX Runtime runs a model. Thread counts of 0: what the process's settings say."""

    is_parallel: bool = False
    intra_op_threads: int = 0
    inter_op_threads: int = 0
    mem_pattern: bool = True
    graph: GraphOptimization = "all"


def session_parameters(config: ModelConfiguration | None) -> SessionParameters:
    """Return what ``config`` orders.

    Raises:
        ModelError: a value is none that the parameter may have.
    """
    if config is None:
        return SessionParameters()
    return SessionParameters(
        is_parallel=bool(_number(config, "execution_mode", 1)),
        intra_op_threads=_number(config, "intra_op_thread_count", _MOST_THREADS),
        inter_op_threads=_number(config, "inter_op_thread_count", _MOST_THREADS),
        mem_pattern=bool(_number(config, "enable_mem_pattern", 1, default="1")),
        graph=_LEVELS.get(config.message.optimization.graph.level, "all"),
    )


def _number(config: ModelConfiguration, name: str, most: int, default: str = "0") -> int:
    text = config.parameters.get(name, default).strip().lower()
    number = _BOOLEANS.get(text, -1) if most == 1 else int(text) if _is_number(text) else -1
    if not 0 <= number <= most:
        where = config.where(("parameters", name))
        raise ModelError(f"{where}: parameter '{name}' must be from 0 to {most}, not '{printable(text)}'")
    return number


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10
