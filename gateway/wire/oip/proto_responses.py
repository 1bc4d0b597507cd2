"""ModelInferResponses of other servers, read without copies of their tensors where these travel raw."""

from __future__ import annotations

from gateway.core.errors import Fault, GatewayError
from gateway.core.offload import HERE_MESSAGE_BYTES
from gateway.core.request import Provenance, Response
from gateway.core.tensor import Buffer
from gateway.wire.oip import proto as oip_proto
from gateway.wire.oip.proto_bounds import MAX_PARSED_BYTES, without_raw_outputs
from gateway.wire.proto import messages


def decode(message: Buffer, provenance: Provenance) -> Response | None:
    """Read a ModelInferResponse; None: it would hold the event loop, and ``reference`` reads it elsewhere.

    Raises:
        GatewayError: as ``oip_proto.decode_response`` has it.
    """
    cut = without_raw_outputs(message)
    if cut is None:
        return reference(message, provenance) if len(message) <= HERE_MESSAGE_BYTES else None
    head, raws = cut
    if len(head) > HERE_MESSAGE_BYTES:
        return None
    return oip_proto.decode_response(oip_proto.parse(messages.ModelInferResponse, head), provenance, raws)


def reference(message: Buffer, provenance: Provenance) -> Response:
    """Read a ModelInferResponse by protobuf.

    Raises:
        GatewayError: as ``oip_proto.decode_response`` has it; TOO_LARGE for too much outside of raw contents.
    """
    cut = without_raw_outputs(message)
    if cut is not None and len(cut[0]) > MAX_PARSED_BYTES:
        raise GatewayError(
            Fault.TOO_LARGE, f"the answer has more than {MAX_PARSED_BYTES} bytes outside of raw contents"
        )
    parsed = oip_proto.parse(messages.ModelInferResponse, bytes(message))
    return oip_proto.decode_response(parsed, provenance)
