"""Server reflection: tools ask it for the descriptors of the services."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from gateway.core.tensor import Buffer
from gateway.http.exchange import RequestBody
from gateway.listeners.oip.request_headers import OipRequestHeaders
from gateway.wire.grpc_framing import Unpacking
from gateway.wire.oip import proto as oip_proto
from gateway.wire.proto import messages


class Reflection:
    """Describes the services of this server, in one version of the reflection service."""

    def __init__(self, package: str) -> None:
        self._package = package
        self._request = messages.message(f"{package}.ServerReflectionRequest")
        self._response = messages.message(f"{package}.ServerReflectionResponse")
        self._files = {file.name: file for file in messages.files()}
        self._symbols = {symbol: file for file in messages.files() for symbol in _symbols(file)}
        self._services = sorted(
            f"{file.package}.{service.name}" for file in messages.files() for service in file.service
        )

    def __repr__(self) -> str:
        return f"<Reflection {self._package}>"

    async def __call__(
        self, stream: RequestBody, unpacking: Unpacking, _headers: OipRequestHeaders, _until: float
    ) -> AsyncGenerator[list[Buffer], None]:
        """Answer each request of the stream."""
        async for message, size in unpacking.each(stream):
            request = oip_proto.parse(self._request, bytes(message))
            stream.consumed(size)
            yield [self._reply(request).SerializeToString()]

    def _reply(self, request: Any) -> Any:
        reply = self._response(valid_host=request.host, original_request=request)
        kind = request.WhichOneof("message_request")
        if kind == "list_services":
            for name in self._services:
                reply.list_services_response.service.add(name=name)
            return reply
        file = None
        if kind == "file_by_filename":
            file = self._files.get(request.file_by_filename)
        elif kind == "file_containing_symbol":
            file = self._symbols.get(request.file_containing_symbol)
        if file is None:
            reply.error_response.error_code = 5
            reply.error_response.error_message = "not found"
        else:
            reply.file_descriptor_response.file_descriptor_proto.append(file.SerializeToString())
        return reply


def _symbols(file: Any) -> list[str]:
    found = []

    def walk(scope: str, kinds: Any) -> None:
        for kind in kinds:
            name = f"{scope}.{kind.name}"
            found.append(name)
            walk(name, kind.nested_type)
            found.extend(f"{name}.{enum.name}" for enum in kind.enum_type)

    walk(file.package, file.message_type)
    found.extend(f"{file.package}.{enum.name}" for enum in file.enum_type)
    for service in file.service:
        found.append(f"{file.package}.{service.name}")
        found.extend(f"{file.package}.{service.name}.{method.name}" for method in service.method)
    return found
