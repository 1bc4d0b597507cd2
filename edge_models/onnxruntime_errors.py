"""ONNX Runtime's errors in the gateway's words: one line each, without places in its source."""

from __future__ import annotations

import logging
import re
from typing import Final

from gateway.core.errors import Fault, GatewayError, Why, masked, printable

_log = logging.getLogger(__name__)

_KINDS_OF_THE_MACHINE: Final = frozenset({"EPFail", "EngineError"})
_WORDS_OF_THE_MACHINE: Final = ("CUDA", "CUDNN", "CUBLAS", "Failed to allocate memory", "bad_alloc")
"""Failures that other values need not have met: the accelerator's, and memory's."""

_TOO_MUCH_MEMORY: Final = "the model needs more memory for these inputs than it may have (`max_mem_mib`)"
_STOPPED: Final = "terminate flag"
_BEYOND_LIMIT: Final = re.compile(r"Available memory of \S* ?is smaller than requested")

_NODE: Final = re.compile(r"while running (?P<kind>\w+) node\. Name:'(?P<name>[^']*)'")
_PLACE: Final = re.compile(r"^\S+\.(?:h|cc|cpp|cu):\d+\s+(?:[\w:&*<>,\s]*::[\w:~]+\([^)]*\)(?: const)?\s+)?")
"""Where in ONNX Runtime's source it was raised: a file, a line, perhaps a function."""

_CODE: Final = re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : ")
_SOURCE: Final = re.compile(r"(?:^|\s)\S*\.(?:h|cc|cpp|cu):\d+ ")
_FILE: Final = re.compile(r"(?<![\w.])(?:\.{0,2}/)[^\s\"',;:)]+")

_RUN_FAILED: Final = Why("run_failed", of_model=True)
_MAX_MESSAGE: Final = 300
_MAX_LOAD_MESSAGE: Final = 600
_MAX_READ: Final = 10_000
"""Characters that are looked at. A file's names, which its maker chose, are among them."""


def run_error(error: Exception) -> GatewayError:
    """Return what a run that raised ``error`` comes to.

    The machine is blamed only for what is the machine's: a run depends on nothing else but the values, and on
    how much time and memory it may have, which are the model's.
    """
    text = str(error)
    if _STOPPED in text:
        return GatewayError(
            Fault.DEADLINE, "the model did not answer in time, and its run was stopped", why=_RUN_FAILED
        )
    if _BEYOND_LIMIT.search(text):
        return GatewayError(Fault.INTERNAL, _TOO_MUCH_MEMORY, why=_RUN_FAILED)
    if kind(error) in _KINDS_OF_THE_MACHINE or any(word in text for word in _WORDS_OF_THE_MACHINE):
        _log.warning("a run of ONNX Runtime failed: %s", masked(text))
        return GatewayError(Fault.INTERNAL, "the model failed to run", counts=True)
    words = f"the model cannot use the values of the inputs: {_words_of_run(text)}"
    # An index out of range is one for any model of this signature; the rest may be this one's weakness.
    why = None if kind(error) == "InvalidArgument" else _RUN_FAILED
    return GatewayError(Fault.INVALID, words, why=why)


def is_about_memory(error: GatewayError) -> bool:
    """Whether the run took more memory than the model may have."""
    return error.message == _TOO_MUCH_MEMORY


def load_sentence(error: Exception) -> str:
    """Return what ONNX Runtime has to say about a file, without files and places in its source."""
    # The last is the cause; those before it were raised on the way.
    text = " ".join(_CODE.split(str(error)[:_MAX_READ])[-1].split())
    *raised, sentence = _SOURCE.split(text)
    if raised:
        sentence = _without_function(sentence)
    sentence = _FILE.sub("\N{HORIZONTAL ELLIPSIS}", sentence).strip()
    return printable(sentence, _MAX_LOAD_MESSAGE) if sentence else kind(error)


def _without_function(text: str) -> str:
    """Return ``text`` without the signature of the function that it may begin with."""
    name, _, rest = text.partition("(")
    if "::" not in name or not rest:
        return text
    depth = 1
    for place, character in enumerate(rest):
        depth += (character == "(") - (character == ")")
        if not depth:
            return rest[place + 1 :].removeprefix(" const").lstrip()
    return text


def kind(error: Exception) -> str:
    """Return ONNX Runtime's name for ``error``."""
    return type(error).__name__


def _words_of_run(text: str) -> str:
    """Return ONNX Runtime's message without places in its source and without values."""
    node = _NODE.search(text)
    words = text.rpartition("Status Message: ")[2] if node else text.rpartition(" : ")[2]
    sentence = printable(" ".join(masked(_PLACE.sub("", words)).split()), _MAX_MESSAGE)
    if not node:
        return sentence
    name = f" '{printable(node['name'])}'" if node["name"] else ""
    return f"{node['kind']} node{name}: {sentence}"
