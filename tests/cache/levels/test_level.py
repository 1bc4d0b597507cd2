"""Entries own their bytes and know their size."""

from __future__ import annotations

from cache.levels.level import ELEMENT_BYTES, ENTRY_BYTES, TENSOR_BYTES, Entry
from gateway.core.request import Caller, Provenance, Response
from gateway.core.tensor import Tensor
from tests.cache.build import entry
from tests.fakes.service import answer, request


def of(*outputs: Tensor) -> Entry:
    response = Response("digits", "1", outputs, Provenance("edge"))
    return Entry.of(response, soft_expiry=1, hard_expiry=2, compute_s=0.1)


def test_an_entry_owns_its_bytes() -> None:
    """A tensor that is a window into a message is copied, so the entry keeps no message and no writer."""
    message = bytearray(b"header01234567tail")

    held = of(Tensor("p", "UINT8", (8,), memoryview(message)[6:14]))
    message[6:14] = b"XXXXXXXX"

    assert held.response.outputs[0].data == b"01234567"
    assert not held.response.outputs[0].numpy().flags.writeable


def test_size_counts_bytes_objects_and_string_elements() -> None:
    """Size is what the entry takes: a fixed part, one per tensor, its bytes, and one per BYTES element."""
    strings = Tensor("s", "BYTES", (2,), b"\x01\0\0\0a\x01\0\0\0b")

    held = of(Tensor("p", "UINT8", (3,), b"abc"), strings)

    assert held.size == ENTRY_BYTES + 2 * TENSOR_BYTES + 3 + 10 + 2 * ELEMENT_BYTES


def test_at_names_the_level_and_changes_nothing_else() -> None:
    """The copy for a level differs in its provenance's level alone."""
    held = entry(answer("edge", region="eu", digest="d", certified=False))

    copy = held.at("l1")

    assert copy.response.provenance == Provenance(
        "edge", level="l1", region="eu", digest="d", certified=False
    )
    assert copy.response.outputs is held.response.outputs
    assert (copy.soft_expiry, copy.size) == (held.soft_expiry, held.size)


def test_an_entry_knows_whom_it_is_held_for() -> None:
    """The tenant, its residency class, and the regions that might see the request; none known: none."""
    caller = Caller(tenant="t", residency="eu-only")
    held = entry(answer()).for_whom(request(caller=caller, regions=frozenset({"eu"})))

    assert (held.holder, held.residency, held.regions) == ("t", "eu-only", {"eu"})
    assert held.for_whom(request(caller=caller)).regions == frozenset()
