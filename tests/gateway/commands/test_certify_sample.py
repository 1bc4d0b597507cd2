"""The sample: how it is read, fitted and cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_models.inputs import value_digest
from gateway.commands.certify_sample import Sample, load_sample
from gateway.core.catalog import TensorSpec

IMAGE = TensorSpec("image", "FP32", (-1, 4))
TEXT = TensorSpec("text", "BYTES", (-1, 1))
RATE = TensorSpec("rate", "INT64", ())
ROWS = np.arange(40, dtype=np.float32).reshape(10, 4)


def test_files_of_one_array_and_of_several(tmp_path: Path) -> None:
    """A .npy, a .npz with names, and one whose array numpy has named itself."""
    np.save(tmp_path / "one.npy", ROWS)
    np.savez(tmp_path / "named.npz", image=ROWS, text=np.array([["a"]] * 10))
    np.savez(tmp_path / "unnamed.npz", ROWS)

    assert list(load_sample(tmp_path / "one.npy")) == [""]
    assert sorted(load_sample(tmp_path / "named.npz")) == ["image", "text"]
    assert list(load_sample(tmp_path / "unnamed.npz")) == [""]


@pytest.mark.parametrize("name", ["bad.npy", "bad.npz"])
def test_files_that_are_none(tmp_path: Path, name: str) -> None:
    """Named, with what makes one."""
    (tmp_path / name).write_bytes(b"PK\x03\x04 nonsense")

    with pytest.raises(
        ValueError, match=rf"{name}: cannot be read as a \.npy array of numbers; numpy\.save makes one"
    ):
        load_sample(tmp_path / name)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """Is not one that cannot be read."""
    with pytest.raises(ValueError, match=r"absent\.npy: there is no such file"):
        load_sample(tmp_path / "absent.npy")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_objects_are_refused_with_what_to_use_instead(tmp_path: Path) -> None:
    """Unpickling a file runs whatever is in it."""
    np.save(tmp_path / "objects.npy", np.array([["a"]], object))

    with pytest.raises(ValueError, match="texts are arrays of dtype str"):
        load_sample(tmp_path / "objects.npy")


def test_nothing_in_it(tmp_path: Path) -> None:
    """Neither an array without rows nor a number is a sample."""
    np.savez(tmp_path / "empty.npz", image=np.empty((0, 4), np.float32), rate=np.array(3))

    with pytest.raises(ValueError, match="must hold one array of inputs"):
        load_sample(tmp_path / "empty.npz")


def test_rows_are_cut_into_runs() -> None:
    """As many at once as may be, the rest last; what has one value for all goes with each."""
    sample = Sample({"image": ROWS, "rate": np.array(16000)}, [IMAGE, RATE])

    feeds = list(sample.feeds(4))

    assert [rows for rows, _ in feeds] == [4, 4, 2]
    assert feeds[1][1]["image"].tolist() == ROWS[4:8].tolist()
    assert all(feed["rate"] == 16000 for _, feed in feeds)
    assert repr(sample) == "<Sample of 10 rows, any number in a run>"


def test_a_fixed_batch_is_a_run() -> None:
    """And a rest that is none is an error."""
    fixed = TensorSpec("image", "FP32", (5, 4))

    assert Sample({"": ROWS}, [fixed]).fixed == 5
    with pytest.raises(ValueError, match="has 9 rows, but the model takes 5 in every run: give a multiple"):
        Sample({"": ROWS[:9]}, [fixed])


def test_one_row_of_an_input_for_all_rows_of_another() -> None:
    """A state that a model begins with is the same in every run."""
    state = TensorSpec("state", "FP32", (1, 4))
    sample = Sample({"image": ROWS, "state": ROWS[:1]}, [IMAGE, state])

    assert all(feed["state"].tolist() == ROWS[:1].tolist() for _, feed in sample.feeds(1))


def test_texts_become_bytes() -> None:
    """In UTF-8, as the protocol carries them; of either kind of numpy's texts."""
    for array in (np.array([["ü"], ["b"]]), np.array([["ü".encode()], [b"b"]])):
        _, feed = next(iter(Sample({"text": array}, [TEXT]).feeds(2)))
        assert feed["text"].tolist() == [["ü".encode()], [b"b"]]


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"": ROWS}, r"takes 2 inputs: make a \.npz with numpy\.savez\('sample\.npz', image=…, text=…\)"),
        ({"image": ROWS, "txt": ROWS}, "holds 'image', 'txt', but the model takes 'image', 'text'"),
        ({"image": ROWS, "text": np.array([["a"]] * 9)}, "has 9 rows of 'text' and 10 of another input"),
        (
            {"image": ROWS, "text": ROWS[:, :1]},
            r"sample is FP32 \[10, 1\], but the model's input 'text' is BYTES",
        ),
        (
            {"image": ROWS.astype(float), "text": np.array([["a"]] * 10)},
            r"is FP64 .* is FP32 \[-1, 4\]; convert it: sample\.astype\(numpy\.float32\)",
        ),
    ],
)
def test_what_does_not_fit_is_named(arrays: dict[str, np.ndarray], says: str) -> None:
    """Which input, what is there and what is wanted."""
    with pytest.raises(ValueError, match=says):
        Sample(arrays, [IMAGE, TEXT])


@pytest.mark.parametrize("dtype", [">f4", ">i8"])
def test_numbers_of_the_other_order_of_bytes_are_made_native(tmp_path: Path, dtype: str) -> None:
    """ONNX Runtime reads the bytes of a big-endian array as if they were little-endian."""
    values = np.arange(1, 9, dtype=dtype).reshape(4, 2)
    np.save(tmp_path / "s.npy", values)
    spec = TensorSpec("x", "FP32" if dtype == ">f4" else "INT64", (-1, 2))

    ((_, feed),) = Sample(load_sample(tmp_path / "s.npy"), [spec]).feeds(4)

    assert feed["x"].dtype.isnative
    assert feed["x"].tolist() == values.tolist()


def test_damaged_and_lying_files(tmp_path: Path) -> None:
    """One sentence for what cannot be unpacked, and for a header that tells of more than there can be."""
    np.savez_compressed(tmp_path / "s.npz", x=np.zeros((400, 4), np.float32))
    content = bytearray((tmp_path / "s.npz").read_bytes())
    start = content.find(b"x.npy") + 25
    content[start : start + 6] = b"\xff" * 6
    (tmp_path / "s.npz").write_bytes(content)
    header = b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999999, 4), }"
    (tmp_path / "s.npy").write_bytes(header.ljust(127) + b"\n")

    with pytest.raises(ValueError, match=r"s\.npz: cannot be read as"):
        load_sample(tmp_path / "s.npz")
    with pytest.raises(ValueError, match=r"s\.npy: says that it holds more than fits into memory"):
        load_sample(tmp_path / "s.npy")


def test_what_never_changed_is_bound_to_its_value() -> None:
    """An input of one value, and a column that every row has alike; a column of values is free."""
    sides = {"image": ROWS, "text": np.array([["a"]] * 10), "rate": np.array(3)}

    image, text, rate = Sample(sides, [IMAGE, TEXT, RATE]).seen(-1)

    assert (image.name, image.shape, image.digest) == ("image", (-1, 4), "")
    assert (text.shape, text.digest) == ((-1, 1), value_digest(b"\x01\0\0\0a"))
    assert (rate.shape, rate.digest) == ((), value_digest(np.array(3).tobytes()))
    assert Sample({"": ROWS[:1]}, [IMAGE]).seen(-1)[0].digest == ""
