"""The class of kernels, from what /proc/cpuinfo says."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from edge_models.isa import CPUINFO, instruction_set_class

AVX2 = "fpu sse2 avx f16c avx2 fma bmi2"
AVX512 = f"{AVX2} avx512f avx512dq avx512bw avx512vl"


def x86(*flags: str) -> str:
    return "\n\n".join(f"processor\t: {i}\nmodel name\t: a: b\nflags\t\t: {f}" for i, f in enumerate(flags))


def arm(*features: str) -> str:
    return "\n\n".join(f"processor\t: {i}\nFeatures\t: {f}" for i, f in enumerate(features))


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        (x86("fpu sse2"), "x86-sse2"),
        (x86("fpu sse2 avx"), "x86-avx"),
        (x86("fpu sse2 avx avx2"), "x86-avx"),
        (x86(AVX2), "x86-avx2"),
        (x86(AVX2 + " avx_vnni"), "x86-avxvnni"),
        (x86(AVX2 + " avx_vnni avx_vnni_int8"), "x86-avxvnniint8"),
        (x86(AVX2 + " avx512f"), "x86-avx512f"),
        (x86(AVX512), "x86-avx512"),
        (x86(AVX512 + " avx_vnni"), "x86-avx512"),
        (x86(AVX512 + " avx512_vnni avx_vnni"), "x86-avx512vnni"),
        (x86(AVX512 + " avx512_vnni amx_tile amx_int8"), "x86-amx"),
        (arm("fp asimd"), "arm-neon"),
        (arm("fp asimd asimddp"), "arm-neon-dotprod"),
        (arm("fp asimd asimddp i8mm"), "arm-neon-i8mm"),
        (arm("fp asimd asimddp i8mm sve sve2"), "arm-neon-i8mm-sve"),
        (arm("fp asimd asimddp sve sme"), "arm-neon-dotprod-sve-sme"),
    ],
)
def test_the_best_kernels_that_the_processor_allows(cpuinfo: str, expected: str) -> None:
    """The class follows the order in which ONNX Runtime overrides its kernels."""
    assert instruction_set_class(cpuinfo) == expected


def test_unlike_cores_count_as_the_weakest() -> None:
    """A thread may run on any core, so only what all can do counts."""
    assert instruction_set_class(arm("fp asimd", "fp asimd asimddp")) == "arm-neon"
    assert instruction_set_class(x86(AVX512, AVX2)) == "x86-avx2"


@pytest.mark.parametrize("cpuinfo", ["", "processor\t: 0\nisa\t: rv64imafdcv", "\x00: :"])
def test_without_known_flags_the_machine_type_answers(cpuinfo: str) -> None:
    """No cpuinfo, or one that says nothing known, still gives a name."""
    assert instruction_set_class(cpuinfo) == platform.machine().lower()


def test_an_unreadable_cpuinfo_is_an_empty_one(tmp_path: Path) -> None:
    """Where /proc is not there, nothing is known, and nothing is raised."""
    assert instruction_set_class(path=tmp_path / "cpuinfo") == platform.machine().lower()


def test_this_host_has_a_class() -> None:
    """Called without a text, it reads this host's."""
    text = CPUINFO.read_text(encoding="utf-8", errors="replace") if CPUINFO.exists() else ""

    assert instruction_set_class() == instruction_set_class(text)
