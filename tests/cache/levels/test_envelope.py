"""The envelope: what was sealed comes out, anything else is garbage."""

from __future__ import annotations

import math
from typing import Any

import lz4.block
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from cache.levels.envelope import Envelope, GarbageError, TooLargeError
from cache.levels.level import Entry
from cache.levels.seal import Seal
from gateway.core.request import Provenance, Response
from gateway.core.tensor import Tensor
from tests.cache.build import SECRET, entry
from tests.fakes.service import answer

KEY = bytes(range(32))
OTHER_KEY = bytes(32)
ENVELOPE = Envelope(SECRET, "l2")

BODY = [10.0, 20.0, 0.5, "digits", "1", "edge", True, "eu", "sha", {}, [["p", "UINT8", [2], b"ab"]]]


def sealed(body: Any, key: bytes = KEY) -> bytes:
    """An envelope with a right tag around any body, as another build of Edgeway could have made it."""
    return sealed_bytes(msgspec.msgpack.encode(body), key)


def sealed_bytes(packed: bytes, key: bytes = KEY, size: int = 0) -> bytes:
    """The same around the bytes of a body, which says that it expands to ``size``."""
    return Seal(SECRET).close(key, b"\x02", size.to_bytes(4, "little") + packed)


def changed(place: int, value: object) -> list[object]:
    return [*BODY[:place], value, *BODY[place + 1 :]]


texts = st.text(max_size=8)
tensors = st.one_of(
    st.binary(max_size=20).map(lambda data: Tensor("u", "UINT8", (len(data),), data)),
    st.lists(st.binary(min_size=4, max_size=4), max_size=4).map(
        lambda rows: Tensor("f", "FP32", (len(rows), 1), b"".join(rows))
    ),
    st.binary(max_size=9).map(
        lambda data: Tensor("s", "BYTES", (1,), len(data).to_bytes(4, "little") + data)
    ),
)
responses = st.builds(
    Response,
    model=texts,
    version=texts,
    outputs=st.lists(tensors, max_size=3).map(tuple),
    provenance=st.builds(
        Provenance,
        origin=st.sampled_from(["edge", "central"]),
        certified=st.booleans(),
        region=texts,
        digest=texts,
    ),
    parameters=st.dictionaries(
        texts, st.one_of(st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False), texts)
    ),
)


@given(responses, st.binary(min_size=32, max_size=32))
def test_round_trip(response: Response, key: bytes) -> None:
    """Every entry comes back as it was sealed, and says that it was held at the level."""
    held = entry(response)

    assert ENVELOPE.open(key, ENVELOPE.seal(key, held)) == held.at("l2")


@given(st.data())
def test_any_changed_byte_is_garbage(data: st.DataObject) -> None:
    """No byte of an envelope can change unnoticed, not even within a tensor."""
    blob = bytearray(ENVELOPE.seal(KEY, entry()))
    place = data.draw(st.integers(0, len(blob) - 1))
    blob[place] ^= data.draw(st.integers(1, 255))

    with pytest.raises(GarbageError):
        ENVELOPE.open(KEY, bytes(blob))


@given(st.integers(0, 300))
def test_a_cut_envelope_is_garbage(length: int) -> None:
    """An envelope that ends early, or goes on, is garbage."""
    blob = ENVELOPE.seal(KEY, entry())

    for wrong in (blob[: min(length, len(blob) - 1)], blob + bytes(length + 1)):
        with pytest.raises(GarbageError):
            ENVELOPE.open(KEY, wrong)


@given(st.binary(max_size=200))
def test_noise_is_garbage(noise: bytes) -> None:
    """Bytes from anywhere are garbage, with or without our version byte in front."""
    for blob in (noise, b"\x01" + noise, b"\x02" + noise):
        with pytest.raises(GarbageError):
            ENVELOPE.open(KEY, blob)


def test_a_value_of_another_key_is_garbage() -> None:
    """An envelope copied under another key, or read by a stranger's secret, does not open."""
    blob = ENVELOPE.seal(KEY, entry())

    with pytest.raises(GarbageError, match="seal"):
        ENVELOPE.open(OTHER_KEY, blob)
    with pytest.raises(GarbageError, match="seal"):
        Envelope(bytes(32), "l2").open(KEY, blob)


def test_the_tables_own_body_opens() -> None:
    """The body that the table below spoils is right to begin with."""
    opened = ENVELOPE.open(KEY, sealed(BODY))

    assert isinstance(opened, Entry)
    assert opened.response.outputs == (Tensor("p", "UINT8", (2,), b"ab"),)
    assert (opened.soft_expiry, opened.hard_expiry, opened.compute_s) == (10, 20, 0.5)


def test_when_an_answer_was_computed_is_kept() -> None:
    """It is not known of what builds before have kept; those keep working."""
    held = replace(ENVELOPE.open(KEY, sealed(BODY)).response, born=7.0)
    kept = Entry.of(held, soft_expiry=10, hard_expiry=20, compute_s=0.5, born=7.0)

    assert ENVELOPE.open(KEY, ENVELOPE.seal(KEY, kept)).response.born == 7.0
    assert ENVELOPE.open(KEY, sealed(BODY)).response.born == 0.0


WRONG = {
    "not a list": {"model": "digits"},
    "too short": BODY[:-1],
    "too long": [*BODY, 1.0, 1],
    "born is NaN": [*BODY, math.nan],
    "born before time": [*BODY, -1.0],
    "soft not a number": changed(0, "10"),
    "soft is NaN": changed(0, math.nan),
    "soft after hard": changed(0, 21.0),
    "hard is infinite": changed(1, math.inf),
    "negative times": [-2.0, -1.0, *BODY[2:]],
    "compute is NaN": changed(2, math.nan),
    "compute is negative": changed(2, -1.0),
    "model not text": changed(3, 5),
    "unknown origin": changed(5, "cache"),
    "certified not a bool": changed(6, 1),
    "parameter is a list": changed(9, {"a": [1]}),
    "output too short": changed(10, [["p", "UINT8", [2]]]),
    "output too long": changed(10, [["p", "UINT8", [2], b"ab", 1]]),
    "data is text": changed(10, [["p", "UINT8", [2], "ab"]]),
    "unknown datatype": changed(10, [["p", "FP8", [2], b"ab"]]),
    "bytes do not fill the shape": changed(10, [["p", "UINT8", [3], b"ab"]]),
    "negative dimension": changed(10, [["p", "UINT8", [-2], b"ab"]]),
    "huge shape": changed(10, [["p", "UINT8", [2**63, 2**63], b"ab"]]),
    "string length lies": changed(10, [["p", "BYTES", [1], b"\xff\xff\xff\xffa"]]),
}


@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG.keys())
def test_a_body_not_exactly_right_is_garbage(body: object) -> None:
    """Even under a right tag, every field must have its exact type and make sense."""
    with pytest.raises(GarbageError):
        ENVELOPE.open(KEY, sealed(body))


def test_text_that_is_no_utf8_is_garbage() -> None:
    """A body whose text is not UTF-8 is garbage."""
    packed = msgspec.msgpack.encode(BODY).replace(b"digits", b"\xff\xffgits")

    with pytest.raises(GarbageError):
        ENVELOPE.open(KEY, sealed_bytes(packed))


@pytest.mark.parametrize("value", [2**70, "\ud800", object()], ids=["integer", "surrogate", "object"])
def test_what_cannot_be_packed_is_not_sealed(value: Any) -> None:
    """An answer that MessagePack cannot hold is refused as garbage, never as a stray error."""
    odd = replace(answer(), parameters={"p": value})

    with pytest.raises(GarbageError):
        ENVELOPE.seal(KEY, entry(odd))


def test_repr_tells_version_and_level_but_no_secret() -> None:
    """The repr is safe to log."""
    assert repr(ENVELOPE) == "<Envelope version 2, l2>"


def test_nothing_in_it_is_readable() -> None:
    """Neither names nor texts nor numbers can be found in a value, and no two values are alike."""
    answered = Response(
        "secret-model",
        "7",
        (Tensor("label", "BYTES", (1,), b"\x07\0\0\0illness"),),
        Provenance("edge", region="eu"),
    )
    one, two = (ENVELOPE.seal(KEY, entry(answered)) for _ in range(2))

    for word in (b"secret-model", b"label", b"illness", b"edge", b"BYTES"):
        assert word not in one
    assert one != two
    assert ENVELOPE.open(KEY, one) == ENVELOPE.open(KEY, two)


@pytest.mark.parametrize("version", [1, 3, 31])
def test_another_builds_value_is_told_from_noise(version: int) -> None:
    """It is not ours to delete: gateways of two builds may share a Redis."""
    blob = bytes([version]) + ENVELOPE.seal(KEY, entry())[1:]

    with pytest.raises(GarbageError) as caught:
        ENVELOPE.open(KEY, blob)
    assert (caught.value.reject, caught.value.is_foreign) == ("version", True)


@pytest.mark.parametrize(
    ("blob", "reject"),
    [
        (b"", "seal"),
        (b"\x00" * 99, "seal"),
        (b"\x02" * 99, "seal"),
        (b"\x20" * 99, "seal"),
        (b"\x02", "seal"),
        (sealed(["digits"]), "body"),
        (sealed_bytes(b"no lz4", size=2000), "size"),
        (sealed_bytes(lz4.block.compress(bytes(100), store_size=False), size=101), "size"),
        (sealed_bytes(lz4.block.compress(bytes(100), store_size=False), size=99), "size"),
        (sealed_bytes(b"", size=2**32 - 1), "size"),
    ],
    ids=["empty", "zeros", "twos", "blanks", "short", "body", "no lz4", "fewer", "more", "huge"],
)
def test_what_was_wrong_has_a_word(blob: bytes, reject: str) -> None:
    with pytest.raises(GarbageError) as caught:
        ENVELOPE.open(KEY, blob)
    assert caught.value.reject == reject
    assert not caught.value.is_foreign


def large(data: bytes) -> Entry:
    return entry(Response("m", "1", (Tensor("p", "UINT8", (len(data),), data),), Provenance("edge")))


def test_what_shrinks_is_kept_small() -> None:
    held = large(bytes(500_000))
    blob = ENVELOPE.seal(KEY, held)

    assert len(blob) < 5000
    assert ENVELOPE.open(KEY, blob) == held.at("l2")


def test_a_bomb_allocates_no_more_than_a_value_may_have() -> None:
    """Who has the secret can write small values that expand: not beyond the limit of whoever reads."""
    blob = Envelope(SECRET, "l2").seal(KEY, large(bytes(2_000_000)))

    with pytest.raises(GarbageError, match="are the most") as caught:
        Envelope(SECRET, "l2", most_bytes=100_000).open(KEY, blob)
    assert caught.value.reject == "size"


def test_the_limit_holds_before_compression() -> None:
    with pytest.raises(TooLargeError, match="100000 are the most"):
        Envelope(SECRET, "l2", most_bytes=100_000).seal(KEY, large(bytes(200_000)))
