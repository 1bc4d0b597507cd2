"""What goes through the pipes comes out the same, and what is large is not copied into the pickle."""

from __future__ import annotations

import io
from typing import Any

import pytest

from gateway.app import codec_frames as frames
from gateway.core.request import NO_PARAMETERS, Provenance, Response
from gateway.core.tensor import Tensor
from gateway.wire.oip.inference import PLAIN_OUTPUTS, Inference


def through(value: Any) -> Any:
    stream = io.BytesIO()
    frames.write(stream, value)
    stream.seek(0)
    return frames.read(stream)


@pytest.mark.parametrize("size", [0, 1, 4 << 10, 64 << 10, 3 << 20])
def test_tensors_and_views_pass(size: int) -> None:
    """Whatever their size; what is received is not to be written to."""
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    tensor = Tensor("x", "UINT8", (size,), memoryview(data), {"content_type": "np"})
    inference = Inference("7", (tensor, tensor), ("y",), PLAIN_OUTPUTS, NO_PARAMETERS, 1.5)
    response = Response("m", "1", (tensor,), Provenance("central"))

    assert through((inference, response, memoryview(data))) == (inference, response, data)
    received = through(tensor)
    assert isinstance(received.data, bytes) or received.data.readonly


def test_what_is_large_travels_beside_the_pickle() -> None:
    """So that it is never copied by the interpreter."""
    stream = io.BytesIO()
    frames.write(stream, [Tensor("x", "UINT8", (1 << 20,), bytes(1 << 20)), memoryview(bytes(1 << 20))])

    assert stream.getvalue()[0] == 3
    assert int.from_bytes(stream.getvalue()[8:16], "little") < 1000


@pytest.mark.parametrize("cut", [1, 8, 9, 40])
def test_the_end_of_the_other_side_is_an_error(cut: int) -> None:
    """Wherever it comes; nothing is returned that is not whole."""
    stream = io.BytesIO()
    frames.write(stream, ("work", bytes(100)))
    short = io.BytesIO(stream.getvalue()[:-cut])

    with pytest.raises(frames.FrameError):
        frames.read(short)
    with pytest.raises(frames.FrameError):
        frames.read(io.BytesIO())
