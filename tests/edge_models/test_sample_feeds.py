"""Samples: read from any file, refused in words, cut as the model takes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_models.sample_feeds import Feeds, read_sample
from gateway.core.catalog import TensorSpec

ROWS = TensorSpec("rows", "FP32", (-1, 4))


def zeros(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return np.zeros(shape, dtype)


def shapes(feeds: Feeds) -> list[dict[str, tuple[int, ...]]]:
    return [{name: array.shape for name, array in feed.items()} for feed in feeds]


# Files


def test_a_npy_is_an_array_and_a_npz_is_arrays_by_name(tmp_path: Path) -> None:
    np.save(tmp_path / "one", zeros(3, 4))
    np.savez(tmp_path / "two", **{"a/b:0": zeros(3, 4), "words": np.array(["x"])})

    one, two = read_sample(tmp_path / "one.npy"), read_sample(tmp_path / "two.npz")

    assert isinstance(one, np.ndarray)
    assert one.shape == (3, 4)
    assert set(two) == {"a/b:0", "words"}


@pytest.mark.parametrize("content", ["", "text", "half a npy", "half a npz", "objects", "a broken member"])
def test_what_is_no_sample_is_named(tmp_path: Path, content: str) -> None:
    """Every kind of broken file is one sentence with the file's name."""
    file = tmp_path / "sample"
    np.save(tmp_path / "whole", zeros(300, 4))
    np.savez(tmp_path / "whole", rows=zeros(300, 4))
    np.save(tmp_path / "objects", np.array([{"a": 1}], object), allow_pickle=True)
    npy, npz = (tmp_path / "whole.npy").read_bytes(), (tmp_path / "whole.npz").read_bytes()
    file.write_bytes(
        {
            "": b"",
            "text": b"1,2,3\n",
            "half a npy": npy[:1000],
            "half a npz": npz[:1000],
            "objects": (tmp_path / "objects.npy").read_bytes(),
            "a broken member": npz[:200] + b"?" * 50 + npz[250:],
        }[content]
    )

    with pytest.raises(ValueError, match=r"sample: cannot be read as a \.npy array or a \.npz"):
        read_sample(file)


# Cutting


@given(rows=st.integers(1, 2000), width=st.sampled_from([1, 64, 100_000]))
def test_a_free_batch_is_cut_into_feeds_that_hold_every_row_once(rows: int, width: int) -> None:
    """At most 256 rows and 8 MiB, however wide a row is."""
    sample = np.broadcast_to(np.arange(rows, dtype=np.float32)[:, None], (rows, width))[:, :64]
    spec = TensorSpec("rows", "FP32", (-1, 64))
    sample = np.ascontiguousarray(
        np.broadcast_to(sample, (rows, 64)) if width == 1 else np.resize(sample, (rows, 64))
    )

    feeds = Feeds(sample, [spec])

    parts = [feed["rows"] for feed in feeds]
    assert (np.concatenate(parts) == sample).all()
    assert len(parts) == len(feeds)
    assert max(map(len, parts)) <= 256
    assert (feeds.rows, feeds.left_over) == (rows, 0)


def test_wide_rows_come_few_at_a_time() -> None:
    """A feed is at most 8 MiB: activations are many times that."""
    feeds = Feeds(zeros(10, 1 << 20), [TensorSpec("rows", "FP32", (-1, 1 << 20))])

    assert [feed["rows"].shape[0] for feed in feeds] == [2, 2, 2, 2, 2]


def test_a_fixed_batch_is_filled_and_the_rest_is_left_over() -> None:
    feeds = Feeds(zeros(11, 4), [TensorSpec("rows", "FP32", (4, 4))])

    assert shapes(feeds) == [{"rows": (4, 4)}] * 2
    assert (feeds.rows, feeds.left_over) == (8, 3)


def test_a_model_without_a_batch_takes_one_entry_at_a_time() -> None:
    """One more dimension in front than the model has: each entry is the input of one run."""
    feeds = Feeds(
        {"x": zeros(5, 4), "k": zeros(5)}, [TensorSpec("x", "FP32", (4,)), TensorSpec("k", "FP32", ())]
    )

    assert shapes(feeds) == [{"x": (4,), "k": ()}] * 5
    assert feeds.rows == 5


def test_an_input_of_one_fixed_value_goes_whole_into_every_feed() -> None:
    inputs = [ROWS, TensorSpec("scale", "FP32", (3,)), TensorSpec("k", "FP32", ())]

    feeds = Feeds({"rows": zeros(2, 4), "scale": zeros(3), "k": zeros()}, inputs)

    assert shapes(feeds) == [{"rows": (2, 4), "scale": (3,), "k": ()}]
    assert feeds.rows == 2


def test_a_sample_of_exactly_one_run_is_one_feed() -> None:
    feeds = Feeds(zeros(8, 4), [TensorSpec("rows", "FP32", (8, 4))])

    assert shapes(feeds) == [{"rows": (8, 4)}]
    assert (feeds.rows, feeds.left_over) == (8, 0)


def test_several_inputs_are_cut_together() -> None:
    feeds = Feeds(
        {"rows": zeros(300, 4), "ids": zeros(300, 9, dtype=np.int64)},
        [ROWS, TensorSpec("ids", "INT64", (-1, -1))],
    )

    assert shapes(feeds) == [{"rows": (256, 4), "ids": (256, 9)}, {"rows": (44, 4), "ids": (44, 9)}]


@pytest.mark.parametrize("texts", [np.array([["a"], ["ß"]]), np.array([[b"a"], ["ß".encode()]])])
def test_texts_are_bytes_as_the_gateway_has_them(texts: np.ndarray) -> None:
    (feed,) = Feeds(texts, [TensorSpec("t", "BYTES", (-1, 1))])

    assert feed["t"].tolist() == [[b"a"], ["ß".encode()]]
    assert feed["t"].dtype == object


def test_foreign_byte_order_is_turned() -> None:
    (feed,) = Feeds(np.ones((1, 4), ">f4"), [ROWS])

    assert feed["rows"].dtype == np.float32
    assert feed["rows"].tolist() == [[1, 1, 1, 1]]


# Refusals


@pytest.mark.parametrize(
    ("sample", "inputs", "message"),
    [
        (zeros(0, 4), [ROWS], "no calibration rows"),
        (zeros(3, 4), [], "takes no input"),
        (zeros(3, 4), [ROWS, ROWS], "the model takes rows, rows, but the sample is one array: numpy.savez"),
        ({"x": zeros(3, 4)}, [ROWS], "the model takes rows, but the sample holds x: name its arrays"),
        ({}, [ROWS], "holds nothing"),
        ({"rows": zeros(3, 4), "more": zeros(3)}, [ROWS], "holds rows, more"),
        (
            zeros(3, 4, dtype=np.float64),
            [ROWS],
            r"FP64 \[3, 4\], but .*'rows' is FP32 \[-1, 4\]; .*astype\('float32'\)",
        ),
        (zeros(3, 5), [ROWS], r"FP32 \[3, 5\], but the model's input 'rows' is FP32 \[-1, 4\]$"),
        (zeros(3, 2, 2), [ROWS], r"FP32 \[3, 2, 2\]"),
        (zeros(3), [ROWS], r"FP32 \[3\]"),
        (zeros(3, 4, dtype=np.complex64), [ROWS], r"complex64 \[3, 4\]"),
        (zeros(3, 4, dtype=np.int32), [TensorSpec("rows", "INT64", (-1, 4))], r"astype\('int64'\)"),
        (np.full((3, 4), np.nan, np.float32), [ROWS], "input 'rows' holds NaN"),
        (
            zeros(3, 4),
            [TensorSpec("rows", "FP32", (8, 4))],
            "takes 8 rows at once, but the sample has only 3",
        ),
        (
            {"rows": zeros(3, 4), "b": zeros(2, 4)},
            [ROWS, TensorSpec("b", "FP32", (-1, 4))],
            r"differ in length \(rows 3, b 2\)",
        ),
        (
            {"rows": zeros(3, 4), "b": zeros(9, 4)},
            [ROWS, TensorSpec("b", "FP32", (-1, 4))],
            r"differ in length \(rows 3, b 9\)",
        ),
    ],
)
def test_a_sample_that_does_not_fit_is_refused_with_what_would(
    sample: Any, inputs: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Feeds(sample, inputs)
