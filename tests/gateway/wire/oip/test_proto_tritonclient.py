"""tritonclient writes and reads what the codec of protobuf does."""

from __future__ import annotations

import numpy as np
from tritonclient.grpc import InferInput, InferRequestedOutput, InferResult, service_pb2
from tritonclient.grpc._utils import _get_inference_request

from gateway.core.request import Provenance, Response
from gateway.core.tensor import Tensor
from gateway.wire.oip import proto as oip_proto
from gateway.wire.proto import messages

CENTRAL = Provenance("central")


def test_tritonclient_writes_what_is_read():
    """A request built by the unmodified tritonclient is read with all its parts."""
    image = InferInput("image", [1, 2], "FP32")
    image.set_data_from_numpy(np.array([[1.5, 2.5]], np.float32))
    words = InferInput("words", [2], "BYTES")
    words.set_data_from_numpy(np.array([b"ab", b"c"], object))
    message = _get_inference_request(
        inputs=[image, words],
        model_name="digits",
        model_version="2",
        request_id="r-1",
        outputs=[InferRequestedOutput("probabilities")],
        sequence_id=0,
        sequence_start=False,
        sequence_end=False,
        priority=2,
        timeout=1000,
        parameters={"note": "x"},
    )

    inference = oip_proto.decode_request(
        oip_proto.parse(messages.ModelInferRequest, message.SerializeToString())
    )

    assert (inference.model, inference.version, inference.id) == ("digits", "2", "r-1")
    assert [tensor.numpy().tolist() for tensor in inference.inputs] == [[[1.5, 2.5]], [b"ab", b"c"]]
    assert inference.outputs == ("probabilities",)
    assert inference.parameters == {"priority": 2, "note": "x"}
    assert inference.timeout_s == 0.001


def test_tritonclient_reads_what_is_written():
    """An answer is read by the unmodified tritonclient, strings and halves too."""
    words = Tensor.from_numpy("words", np.array([b"ab", b"c"], object))
    halves = Tensor.from_numpy("halves", np.array([[0.5, 2.0]], np.float16))
    response = Response("digits", "1", (words, halves), CENTRAL)

    body = oip_proto.encode_response(response, "r-1").SerializeToString()
    result = InferResult(service_pb2.ModelInferResponse.FromString(body))

    assert result.as_numpy("words").tolist() == [b"ab", b"c"]
    assert result.as_numpy("halves").tolist() == [[0.5, 2.0]]
