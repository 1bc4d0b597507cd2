"""How an answer is sealed for a place that may read, lose, mix up or falsify what it is given.

``version byte | seal over (size | body)``: the body is MessagePack, compressed where that pays, and
sealed for its cache key. A flipped bit, a value copied from another key, a reply that was meant for
somebody else and anything written by a stranger all fail the same check, before a single field is
decoded. The body is decoded into exact types all the same: it may come from another build of Edgeway.
"""

from __future__ import annotations

import math
from typing import Final, Literal

import msgspec

from cache.levels.compression import SIZE_BYTES, ExpandError, compress, expand
from cache.levels.level import Entry
from cache.levels.seal import Seal, SealError
from gateway.core.errors import GatewayError
from gateway.core.request import NO_PARAMETERS, Parameter, Provenance, Response
from gateway.core.tensor import Buffer, Tensor, check_size, check_texts

VERSION: Final = 2
MOST_BYTES: Final = 64 << 20
_HEAD: Final = bytes([VERSION])
_LAST_VERSION: Final = 31
"""Versions to come are up to this one; what begins otherwise is no envelope."""

Reject = Literal["version", "seal", "size", "body"]
"""What was wrong with a value: another build's, not sealed here, too large when expanded, not what it
should be inside."""


class GarbageError(ValueError):
    """The bytes are no envelope for this key. Says why, for a log; never shown to a client."""

    def __init__(self, message: str, reject: Reject = "body") -> None:
        super().__init__(message)
        self.reject: Reject = reject

    @property
    def is_foreign(self) -> bool:
        """Whether another build may have written it, which can read it: it is not ours to delete."""
        return self.reject == "version"


class TooLargeError(ValueError):
    """An answer is larger than a value may be."""


class _Output(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    name: str
    datatype: str
    shape: tuple[int, ...]
    data: bytes
    parameters: dict[str, Parameter] = {}


class _Body(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    soft_expiry: float
    hard_expiry: float
    compute_s: float
    model: str
    version: str
    origin: Literal["edge", "central"]
    certified: bool
    region: str
    digest: str
    parameters: dict[str, Parameter]
    outputs: list[_Output]
    born: float = 0.0
    """Absent in what builds before wrote: not known."""


class Envelope:
    """Seals and opens entries with one ``secret`` of 32 bytes; what it opens says it was at ``level``.

    ``most_bytes`` bounds the body before it is compressed, and so what a value can expand to.
    """

    def __init__(self, secret: bytes, level: str, most_bytes: int = MOST_BYTES) -> None:
        self._level = level
        self._seal = Seal(secret)
        self._most_bytes = most_bytes
        self._encode_into = msgspec.msgpack.Encoder().encode_into
        self._decode = msgspec.msgpack.Decoder(_Body).decode

    def __repr__(self) -> str:
        return f"<Envelope version {VERSION}, {self._level}>"

    def seal(self, key: bytes, entry: Entry) -> bytes:
        """Return the envelope of ``entry`` under ``key``.

        Raises:
            GarbageError: the answer holds what MessagePack cannot, an integer beyond 64 bits for one.
            TooLargeError: it is larger than a value may be.
        """
        plain = bytearray(SIZE_BYTES)
        response, provenance = entry.response, entry.response.provenance
        try:
            self._encode_into(
                (
                    entry.soft_expiry,
                    entry.hard_expiry,
                    entry.compute_s,
                    response.model,
                    response.version,
                    provenance.origin,
                    provenance.certified,
                    provenance.region,
                    provenance.digest,
                    dict(response.parameters),
                    [_packed(output) for output in response.outputs],
                    *((response.born,) if response.born else ()),
                ),
                plain,
                SIZE_BYTES,
            )
        except (UnicodeEncodeError, OverflowError, TypeError) as error:
            raise GarbageError("the answer cannot be packed") from error
        if len(plain) - SIZE_BYTES > self._most_bytes:
            raise TooLargeError(f"{len(plain) - SIZE_BYTES} bytes, where {self._most_bytes} are the most")
        return self._seal.close(key, _HEAD, compress(plain))

    def open(self, key: bytes, blob: bytes) -> Entry:
        """Return the entry that was sealed under ``key``.

        Raises:
            GarbageError: anything at all is not as ``seal`` would have made it.
        """
        if not blob.startswith(_HEAD):
            is_foreign = 0 < blob[0] <= _LAST_VERSION if blob else False
            raise GarbageError("not an envelope of this version", "version" if is_foreign else "seal")
        try:
            return self._entry(self._decode(self._plain(key, blob)))
        except (msgspec.MsgspecError, UnicodeDecodeError, GatewayError) as error:
            raise GarbageError("the body is not what it should be") from error

    def _plain(self, key: bytes, blob: bytes) -> Buffer:
        try:
            return expand(self._seal.open(key, _HEAD, blob), self._most_bytes)
        except SealError as error:
            raise GarbageError(str(error), "seal") from None
        except ExpandError as error:
            raise GarbageError(str(error), "size") from None

    def _entry(self, body: _Body) -> Entry:
        if not 0 <= body.soft_expiry <= body.hard_expiry < math.inf or not (
            0 <= body.compute_s < math.inf and 0 <= body.born < math.inf
        ):
            raise GarbageError("times that cannot be")
        outputs = tuple(
            Tensor(out.name, out.datatype, out.shape, out.data, out.parameters or NO_PARAMETERS)
            for out in body.outputs
        )
        check_texts(outputs)
        for tensor in outputs:
            check_size(tensor)
        provenance = Provenance(
            body.origin, body.certified, level=self._level, region=body.region, digest=body.digest
        )
        parameters = body.parameters or NO_PARAMETERS
        return Entry.of(
            Response(body.model, body.version, outputs, provenance, parameters),
            soft_expiry=body.soft_expiry,
            hard_expiry=body.hard_expiry,
            compute_s=body.compute_s,
            born=body.born,
        )


def _packed(output: Tensor) -> tuple[object, ...]:
    """Return an output as ``_Output`` has it; without parameters as builds before them read it too."""
    packed = (output.name, output.datatype, output.shape, output.data)
    return (*packed, dict(output.parameters)) if output.parameters else packed
