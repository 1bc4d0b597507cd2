"""Which of its kernels ONNX Runtime would pick on this processor.

The same int8 model may give other confidences on another class of kernels (without VNNI, products of
unsigned activations and signed weights are summed in saturating 16 bits), so a certificate holds for
one class only. The classes follow the order in which ``MlasPlatform`` (``platform.cpp`` of ONNX
Runtime) overrides its kernels, from the best down.
"""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Final

CPUINFO: Final = Path("/proc/cpuinfo")

_AVX2: Final = frozenset({"avx2", "fma"})
_AVX512: Final = _AVX2 | {"avx512f", "avx512bw", "avx512dq", "avx512vl"}

_X86: Final[tuple[tuple[str, frozenset[str]], ...]] = (
    ("x86-amx", _AVX512 | {"amx_tile", "amx_int8"}),
    ("x86-avx512vnni", _AVX512 | {"avx512_vnni"}),
    ("x86-avx512", _AVX512),
    ("x86-avx512f", _AVX2 | {"avx512f"}),
    ("x86-avxvnniint8", _AVX2 | {"avx_vnni", "avx_vnni_int8"}),
    ("x86-avxvnni", _AVX2 | {"avx_vnni"}),
    ("x86-avx2", _AVX2),
    ("x86-avx", frozenset({"avx"})),
    ("x86-sse2", frozenset({"sse2"})),
)

# On ARM the int8 kernels, the float kernels of SVE and those of SME are chosen independently.
_ARM_INT8: Final = (("i8mm", "-i8mm"), ("asimddp", "-dotprod"))
_ARM_FLOAT: Final = (("sve", "-sve"), ("sme", "-sme"))


def instruction_set_class(cpuinfo: str | None = None, *, path: Path = CPUINFO) -> str:
    """Name the class of kernels, such as ``x86-avx2``, ``x86-avx512vnni`` or ``arm-neon-dotprod``.

    ``cpuinfo`` is the text of ``/proc/cpuinfo``; when it is None, ``path`` is read. Where there is none, or
    it has no flag that is known here, the answer is the machine's type alone, such as ``arm64``.
    """
    if cpuinfo is None:
        cpuinfo = _read(path)
    flags = _flags(cpuinfo)
    if "asimd" in flags:
        return "arm-neon" + _first(_ARM_INT8, flags) + "".join(s for flag, s in _ARM_FLOAT if flag in flags)
    for name, needed in _X86:
        if needed <= flags:
            return name
    return platform.machine().lower() or "unknown"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _flags(cpuinfo: str) -> frozenset[str]:
    """Return what every core can do: on a chip of unlike cores a thread may run on any of them."""
    cores = [
        frozenset(value.split())
        for name, _, value in (line.partition(":") for line in cpuinfo.splitlines())
        if name.strip() in {"flags", "Features"}
    ]
    return frozenset.intersection(*cores) if cores else frozenset()


def _first(suffixes: tuple[tuple[str, str], ...], flags: frozenset[str]) -> str:
    return next((suffix for flag, suffix in suffixes if flag in flags), "")
