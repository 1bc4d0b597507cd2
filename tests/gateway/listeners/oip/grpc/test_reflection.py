"""Server reflection."""

from __future__ import annotations

import pytest

from gateway.wire.proto import messages
from tests.gateway.listeners.oip.grpc.calls import (
    HEALTH,
    stream,
)


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection(version):
    """Tools find the services, the file of a symbol and a file by its name."""
    package = f"grpc.reflection.{version}"
    request = messages.message(f"{package}.ServerReflectionRequest")
    response = messages.message(f"{package}.ServerReflectionResponse")

    bodies, trailers = await stream(
        f"/{package}.ServerReflection/ServerReflectionInfo",
        request(list_services="*"),
        request(file_containing_symbol="inference.GRPCInferenceService.ModelInfer"),
        request(file_containing_symbol="inference.ModelInferRequest.InferInputTensor"),
        request(file_by_filename="health.proto"),
        request(file_containing_symbol="nothing"),
        request(all_extension_numbers_of_type="nothing"),
    )

    replies = list(map(response.FromString, bodies))
    names = [service.name for service in replies[0].list_services_response.service]
    assert {messages.SERVICE, HEALTH, f"{package}.ServerReflection"} <= set(names)
    assert all(answer.file_descriptor_response.file_descriptor_proto for answer in replies[1:4])
    assert [answer.error_response.error_code for answer in replies[4:]] == [5, 5]
    assert trailers["grpc-status"] == "0"
