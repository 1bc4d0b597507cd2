"""How the messages of answers go out: compressed where the caller's own are, else as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.core.tensor import Buffer
from gateway.http.exchange import Fields
from gateway.listeners.oip.grpc.statuses import FIELDS
from gateway.listeners.oip.request_headers import OipRequestHeaders
from gateway.wire.compression import CODINGS, MAX_DEFLATED, deflate
from gateway.wire.grpc_framing import answer_coding, frame, frame_compressed

_CODED: Final = {
    coding: Fields(*FIELDS.pairs, (b"grpc-encoding", coding.encode()), is_bare=True) for coding in CODINGS
}


class Packing:
    """Frames messages; those smaller than ``compress_from`` bytes are sent as they are."""

    def __init__(self, compress_from: int) -> None:
        self._compress_from = compress_from

    def __repr__(self) -> str:
        return f"<Packing from {self._compress_from} bytes>"

    def coding(self, headers: OipRequestHeaders) -> str | None:
        """Return how answers of a call may be compressed; None for not at all."""
        if headers.grpc_encoding is None:
            return None
        return answer_coding(headers.grpc_encoding, headers.grpc_accept_encoding) or None

    def fields(self, coding: str | None) -> Fields:
        """Return the fields of an answer of which a message may be compressed."""
        return _CODED[coding] if coding else FIELDS

    def framed(self, parts: Sequence[Buffer], coding: str | None) -> list[Buffer]:
        """Return the parts of one message; one that does not shrink goes as it is."""
        size = sum(map(len, parts)) if coding else 0
        if coding and self._compress_from <= size <= MAX_DEFLATED:
            packed = deflate(parts, coding)
            if len(packed) < size:
                return frame_compressed(packed)
        return frame(parts)
