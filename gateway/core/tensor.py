"""Tensors as they travel: a name, a datatype, a shape and raw bytes."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from gateway.core.errors import Fault, GatewayError, printable

Array = npt.NDArray[Any]
Buffer = bytes | memoryview

Parameter = bool | int | float | str
NO_PARAMETERS: Final[Mapping[str, Parameter]] = MappingProxyType({})

BYTES: Final = "BYTES"
DATATYPES: Final[dict[str, np.dtype[Any]]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype("<u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
"""Datatype name of the Open Inference Protocol → numpy dtype, little-endian; BYTES stands apart."""

BF16: Final = "BF16"

ITEM_SIZES: Final[dict[str, int]] = {name: dtype.itemsize for name, dtype in DATATYPES.items()} | {BF16: 2}
"""Datatype name → bytes per element. BYTES has none: its elements carry their own length. BF16 is carried
as it is: numpy has no dtype for it."""

MAX_RANK: Final = 64
"""numpy's own limit; a shape with millions of dimensions would take minutes to multiply."""

MAX_BYTES_ELEMENTS: Final = 1 << 16
"""Of all inputs of a request together, or of all outputs of an answer. Their lengths stand between them, so
they are found one by one, on the event loop: about 7 ms. None becomes an object before a model wants it."""

_MAX_INT64: Final = (1 << 63) - 1

_LENGTH: Final = struct.Struct("<I").unpack_from

_NAMES: Final[dict[np.dtype[Any], str]] = {dtype: name for name, dtype in DATATYPES.items()}


class Tensor(msgspec.Struct, frozen=True, eq=False):
    """One named tensor.

    ``data`` holds row-major little-endian elements exactly as they came off the wire (for BYTES:
    each element is a ``uint32`` length and that many bytes). It is never written to: one buffer may
    be shared by a cache entry and many answers. ``parameters`` say something about it to the server that
    reads it (of MLServer's, ``content_type``), and nothing of how it travels.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: Buffer
    parameters: Mapping[str, Parameter] = NO_PARAMETERS
    _array: Array | None = None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tensor):
            return NotImplemented
        return (self.name, self.datatype, self.shape, self.data, self.parameters) == (
            *(other.name, other.datatype, other.shape, other.data, other.parameters),
        )

    def __hash__(self) -> int:
        return hash((self.name, self.datatype, self.shape, bytes(self.data)))

    def __repr__(self) -> str:
        parameters = f", parameters {', '.join(sorted(self.parameters))}" if self.parameters else ""
        return f"<Tensor {self.name} {self.datatype} {list(self.shape)}, {len(self.data)} bytes{parameters}>"

    def numpy(self) -> Array:
        """Return a read-only view of the elements in ``shape``, made on first use.

        BYTES become an object array of ``bytes``.

        Raises:
            GatewayError: INVALID when the bytes do not fill the shape; UNSUPPORTED for BF16.
        """
        if self._array is None:
            if self.datatype == BYTES:
                array = _texts(self)
            else:
                check_size(self)
                if self.datatype == BF16:
                    raise GatewayError(
                        Fault.UNSUPPORTED, f"tensor '{self.name}' is BF16, which is only passed on"
                    )
                array = np.frombuffer(self.data, DATATYPES[self.datatype]).reshape(self.shape)
            array.flags.writeable = False
            # The view is the value seen otherwise: remembering it changes nothing.
            msgspec.structs.force_setattr(self, "_array", array)
            return array
        return self._array

    def bare(self) -> Tensor:
        """Return it without the view that ``numpy`` has made: texts take many times their bytes there."""
        return Tensor(self.name, self.datatype, self.shape, self.data, self.parameters)

    @classmethod
    def from_numpy(cls, name: str, array: Array) -> Tensor:
        """Copy ``array`` into a tensor; object and string arrays become BYTES.

        Raises:
            GatewayError: INTERNAL when the protocol has no datatype for the array's dtype.
        """
        datatype = _NAMES.get(array.dtype)
        if datatype is not None:
            return cls(name, datatype, array.shape, array.tobytes())
        if array.dtype.kind in "OSU":
            return cls(name, BYTES, array.shape, join_bytes(array))
        little = array.dtype.newbyteorder("<")
        datatype = _NAMES.get(little)
        if datatype is None:
            raise GatewayError(Fault.INTERNAL, f"tensor '{name}' has no protocol datatype")
        return cls(name, datatype, array.shape, np.ascontiguousarray(array, little).tobytes())


def element_count(shape: tuple[int, ...]) -> int:
    """Multiply the dimensions in Python integers, which cannot overflow."""
    return math.prod(shape)


def check_size(tensor: Tensor, model: str = "") -> None:
    """Refuse a tensor whose bytes do not fill its shape, before anything is allocated for it.

    The words are Triton's; ``model`` is the one that it is for, where that is known.

    Raises:
        GatewayError: INVALID for an unknown datatype, too many or negative dimensions or a wrong byte
            count; TOO_LARGE for more BYTES elements than are worth walking over.
    """
    name, datatype = tensor.name, tensor.datatype
    if len(tensor.shape) > MAX_RANK:
        raise GatewayError(Fault.INVALID, f"input '{name}' has more than {MAX_RANK} dimensions")
    for dimension in tensor.shape:
        if dimension < 0:
            raise GatewayError(Fault.INVALID, f"input '{name}' has a negative dimension in its shape")
    count = element_count(tensor.shape)
    size = len(tensor.data)
    if datatype == BYTES:
        if count > MAX_BYTES_ELEMENTS:
            raise too_many_texts()
        # Four bytes of length are the least that an element can take, so this bounds the walk too.
        if count * 4 > size:
            raise _wrong_texts(name, count)
        _check_elements(tensor, count)
        return
    item_size = ITEM_SIZES.get(datatype)
    if item_size is None:
        raise GatewayError(Fault.INVALID, f"input '{name}' has an unknown datatype")
    if count * item_size != size:
        if count * item_size > _MAX_INT64:
            raise too_large_shape(name, count)
        which = f" for model '{printable(model)}'" if model else ""
        raise GatewayError(
            Fault.INVALID,
            f"input byte size mismatch for input '{name}'{which}. Expected {count * item_size}, got {size}",
        )


def too_large_shape(name: str, count: int) -> GatewayError:
    """Return the error of a shape of ``count`` elements that no machine can hold, in Triton's words."""
    if count > _MAX_INT64:
        return GatewayError(
            Fault.INVALID,
            f"the shape of input '{name}' causes total element count to exceed maximum size of {_MAX_INT64}",
        )
    return GatewayError(Fault.INVALID, f"byte size overflow for input '{name}'")


def check_texts(tensors: Iterable[Tensor]) -> None:
    """Refuse more BYTES elements in all tensors together than are worth walking over; none is walked here.

    Raises:
        GatewayError: TOO_LARGE.
    """
    count = 0
    for tensor in tensors:
        if tensor.datatype == BYTES:
            count += element_count(tensor.shape)
    if count > MAX_BYTES_ELEMENTS:
        raise too_many_texts()


def too_many_texts() -> GatewayError:
    """Return the error of a request, or an answer, with too many BYTES elements."""
    return GatewayError(
        Fault.TOO_LARGE,
        f"the request has more than {MAX_BYTES_ELEMENTS} BYTES elements: send them in several requests",
    )


def split_bytes(data: Buffer) -> list[bytes]:
    """Return the elements of a BYTES tensor.

    Raises:
        GatewayError: INVALID when a length runs past the end.
    """
    whole, size, position = bytes(data), len(data), 0
    elements: list[bytes] = []
    try:
        while position < size:
            start = position + 4
            position = start + _LENGTH(whole, position)[0]
            elements.append(whole[start:position])
    except struct.error:
        pass  # It is cut.
    if cut := _cut(position - size):
        raise cut
    return elements


def join_bytes(array: Array) -> bytes:
    """Return the wire form of an array of strings: each element's length, then its bytes (UTF-8)."""
    parts: list[bytes] = []
    for item in array.ravel():
        element = item if isinstance(item, bytes) else str(item).encode()
        parts += (struct.pack("<I", len(element)), element)
    return b"".join(parts)


def _texts(tensor: Tensor) -> Array:
    elements = split_bytes(tensor.data)
    if len(tensor.shape) > MAX_RANK or len(elements) != element_count(tensor.shape):
        raise _wrong_texts(tensor.name, element_count(tensor.shape))
    # Not np.array: it would look into each element.
    array = np.empty(len(elements), dtype=object)
    array[:] = elements
    return array.reshape(tensor.shape)


def _wrong_texts(name: str, count: int) -> GatewayError:
    return GatewayError(
        Fault.INVALID, f"input '{name}' does not hold the {count} BYTES elements of its shape"
    )


def _check_elements(tensor: Tensor, count: int) -> None:
    """Refuse BYTES that are not ``count`` elements; the walk is as short as Python allows."""
    data, position = tensor.data, 0
    try:
        for _ in range(count):
            position += _LENGTH(data, position)[0] + 4
    except struct.error:
        pass  # Where it ran past the end is looked at below.
    else:
        if position == len(data):
            return
    raise _cut(position - len(data)) or _wrong_texts(tensor.name, count)


def _cut(beyond: int) -> GatewayError | None:
    """Return the error of BYTES whose elements would end ``beyond`` their end; None: it is not cut."""
    if beyond > 0:
        return GatewayError(Fault.INVALID, "a BYTES tensor ends inside an element")
    if -4 < beyond < 0:
        return GatewayError(Fault.INVALID, "a BYTES tensor ends inside an element's length")
    return None
