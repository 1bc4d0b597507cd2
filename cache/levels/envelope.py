"""How an answer is sealed for a place that may lose, mix up or falsify what it is given.

``version byte | 32-byte tag | MessagePack body``. The tag is a keyed BLAKE3 hash over the cache key,
the version and the body: a flipped bit, a value copied from another key, a reply that was meant for
somebody else and anything written by a stranger all fail the same check, before a single field is
decoded. The body is decoded into exact types all the same: it may come from another build of Edgeway.
"""

from __future__ import annotations

import hmac
import math
from typing import Final, Literal

import msgspec
from blake3 import blake3

from cache.levels.level import Entry
from gateway.core.errors import GatewayError
from gateway.core.request import NO_PARAMETERS, Parameter, Provenance, Response
from gateway.core.tensor import Tensor, check_size, check_texts

VERSION: Final = 1
_HEAD: Final = bytes([VERSION])
_TAG_BYTES: Final = 32


class GarbageError(ValueError):
    """The bytes are no envelope for this key. Says why, for a log; never shown to a client."""


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
    """Seals and opens entries with one ``secret`` of 32 bytes; what it opens says it was at ``level``."""

    def __init__(self, secret: bytes, level: str) -> None:
        self._level = level
        self._keyed = blake3(key=secret)
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(_Body).decode

    def __repr__(self) -> str:
        return f"<Envelope version {VERSION}, {self._level}>"

    def seal(self, key: bytes, entry: Entry) -> bytes:
        """Return the envelope of ``entry`` under ``key``.

        Raises:
            GarbageError: the answer holds what MessagePack cannot, an integer beyond 64 bits for one.
        """
        response, provenance = entry.response, entry.response.provenance
        try:
            body = self._encode(
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
                )
            )
        except (UnicodeEncodeError, OverflowError, TypeError) as error:
            raise GarbageError("the answer cannot be packed") from error
        return b"".join((_HEAD, self._tag(key, body), body))

    def open(self, key: bytes, blob: bytes) -> Entry:
        """Return the entry that was sealed under ``key``.

        Raises:
            GarbageError: anything at all is not as ``seal`` would have made it.
        """
        start = len(_HEAD) + _TAG_BYTES
        body = memoryview(blob)[start:]
        if not blob.startswith(_HEAD) or len(blob) < start:
            raise GarbageError("not an envelope of this version")
        if not hmac.compare_digest(blob[len(_HEAD) : start], self._tag(key, body)):
            raise GarbageError("the tag does not fit key and body")
        try:
            return self._entry(self._decode(body))
        except (msgspec.MsgspecError, UnicodeDecodeError, GatewayError) as error:
            raise GarbageError("the body is not what it should be") from error

    def _tag(self, key: bytes, body: bytes | memoryview) -> bytes:
        digest = self._keyed.copy()
        # Keys are all of one length, so key and body cannot run into one another.
        digest.update(key + _HEAD)
        digest.update(body)
        return digest.digest(_TAG_BYTES)

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
