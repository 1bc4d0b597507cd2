"""The gRPC listener: bytes ⇄ Request, and nothing else.

Messages are read and written here, not by grpc: a body that is no message then gets a status and a
text of ours (INVALID_ARGUMENT) instead of grpc's INTERNAL. One message that is larger than
``front.max_body_bytes`` never gets this far: grpc refuses it as it comes in, with RESOURCE_EXHAUSTED.

A client that leaves, or whose ``grpc-timeout`` passes, cancels the handler: the stack sees a caller
that left. The deadline is in the Request all the same, so that the stack can plan with it.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import unquote

import grpc
import grpc.aio

from gateway.core.errors import Fault, GatewayError, printable
from gateway.core.request import Provenance, Request
from gateway.core.service import Generation
from gateway.core.telemetry import Refused
from gateway.listeners.front import NAME, VERSION, Front
from gateway.wire import headers, oip_proto
from gateway.wire.arrival import Claims
from gateway.wire.faults import STATUSES
from gateway.wire.oip_metadata import EXTENSIONS
from gateway.wire.proto import messages

Context = Any
Metadata = tuple[tuple[str, str], ...]
Method = Callable[[bytes, Context, Generation], Awaitable[Any]]

_log = logging.getLogger(__name__)

_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}
_READ: Final = frozenset(
    {headers.AUTHORIZATION, headers.TENANT, headers.HOPS, headers.REGIONS, *headers.TRACE}
)
_MAX_MESSAGE: Final = 1024  # characters; a status travels in a header block that clients bound to 8 KiB
_EVER_S: Final = 24 * 3600.0
_LAST_BYTES_S: Final = 0.1  # an answer that the stack has given still has to be written

_OPTIONS: Final = (
    ("grpc.max_send_message_length", -1),
    # Two processes on one port would share its connections in silence.
    ("grpc.so_reuseport", 0),
    # Peers may probe an idle connection every 5 s; grpc's default takes that for an attack after 3 pings.
    ("grpc.http2.min_ping_interval_without_data_ms", 5000),
    ("grpc.keepalive_permit_without_calls", 1),
)


class GrpcListener:
    """Serves ``inference.GRPCInferenceService`` on one port.

    Every answer and every error says in its trailing metadata which region served it and under which
    policy generation; answers of ``ModelInfer`` also tell their provenance.
    """

    def __init__(self, front: Front) -> None:
        self._front = front
        self._served_by = (headers.SERVED_BY, front.region)
        self._server: Any = None
        self._draining: asyncio.Task[None] | None = None
        self._running = 0
        self.port = 0

    def __repr__(self) -> str:
        state = "closed" if self._server is None else "draining" if self._draining else "open"
        return f"<GrpcListener {state} on port {self.port}, {self._running} running>"

    async def start(self, host: str, port: int) -> None:
        """Listen; ``port`` 0 takes a free one, to be read from ``self.port``.

        Raises:
            OSError: the address cannot be listened on.
        """
        limit = ("grpc.max_receive_message_length", self._front.max_body_bytes)
        server = grpc.aio.server(options=(*_OPTIONS, limit))
        server.add_generic_rpc_handlers((self._methods(),))
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            self.port = server.add_insecure_port(address)
        except RuntimeError:
            await server.stop(None)
            raise OSError(f"cannot listen on {address} for gRPC") from None
        await server.start()
        self._server = server

    async def stop_accepting(self) -> None:
        """Refuse new calls from now on and ask clients to leave (GOAWAY); calls under way go on.

        A new call ends as UNAVAILABLE; as CANCELLED, grpc's own word, if it crossed with the GOAWAY.
        """
        if self._server is not None and self._draining is None:
            self._draining = asyncio.create_task(self._server.stop(_EVER_S))
            # One turn of the loop, so that the refusal is in force when this returns.
            await asyncio.sleep(0)

    async def aclose(self, grace_s: float = 0.0) -> None:
        """Wait at most ``grace_s`` seconds for the calls under way, cancel the rest, close the port."""
        if self._server is None:
            return
        await self._server.stop(max(_LAST_BYTES_S, grace_s))
        if self._draining is not None:
            await self._draining
        self._server = self._draining = None

    def _methods(self) -> Any:
        methods: dict[str, Method] = {
            "ServerLive": self._server_live,
            "ServerReady": self._server_ready,
            "ServerMetadata": self._server_metadata,
            "ModelReady": self._model_ready,
            "ModelMetadata": self._model_metadata,
            "ModelInfer": self._infer,
        }
        handlers = {name: self._handler(method) for name, method in methods.items()}
        return grpc.method_handlers_generic_handler(messages.SERVICE, handlers)

    def _handler(self, method: Method) -> Any:
        async def answer(body: bytes, context: Context) -> Any:
            generation = self._front.generation()
            self._running += 1
            try:
                message = await method(body, context, generation)
                return message.SerializeToString()
            except GatewayError as error:
                refusal = error
            except Exception:  # noqa: BLE001 - a bug behind the wire becomes a status, never a traceback
                _log.exception("a gRPC call failed unexpectedly")
                refusal = GatewayError(Fault.INTERNAL, "internal error")
            finally:
                self._running -= 1
            code = _CODES[STATUSES[refusal.fault].grpc]
            trailing = (*self._signature(generation), *_retry_after(refusal))
            # Raises: grpc sends the status and swallows its own exception.
            return await context.abort(code, printable(refusal.message, _MAX_MESSAGE), trailing)

        return grpc.unary_unary_rpc_method_handler(answer)

    def _signature(self, generation: Generation) -> Metadata:
        return (self._served_by, (headers.GENERATION, str(generation.number)))

    async def _infer(self, body: bytes, context: Context, generation: Generation) -> Any:
        request = self._request(body, context)
        response = await generation(request)
        message = oip_proto.encode_response(response, request.id)
        context.set_trailing_metadata((*self._signature(generation), *_told(response.provenance)))
        return message

    async def _server_live(self, _body: bytes, context: Context, generation: Generation) -> Any:
        context.set_trailing_metadata(self._signature(generation))
        return messages.ServerLiveResponse(live=True)

    async def _server_ready(self, _body: bytes, context: Context, generation: Generation) -> Any:
        context.set_trailing_metadata(self._signature(generation))
        return messages.ServerReadyResponse(ready=self._front.is_ready())

    async def _server_metadata(self, _body: bytes, context: Context, generation: Generation) -> Any:
        context.set_trailing_metadata(self._signature(generation))
        return messages.ServerMetadataResponse(name=NAME, version=VERSION, extensions=EXTENSIONS)

    async def _model_ready(self, body: bytes, context: Context, generation: Generation) -> Any:
        context.set_trailing_metadata(self._signature(generation))
        asked = oip_proto.parse(messages.ModelReadyRequest, body)
        try:
            ready = await self._front.catalog.is_ready(asked.name, asked.version)
        except GatewayError as error:
            # As Triton: a model that nobody knows is not ready. Over HTTP any status but 200 says so.
            if error.fault is not Fault.NOT_FOUND:
                raise
            ready = False
        return messages.ModelReadyResponse(ready=ready)

    async def _model_metadata(self, body: bytes, context: Context, generation: Generation) -> Any:
        context.set_trailing_metadata(self._signature(generation))
        asked = oip_proto.parse(messages.ModelMetadataRequest, body)
        return oip_proto.encode_model(await self._front.catalog.describe(asked.name, asked.version))

    def _request(self, body: bytes, context: Context) -> Request:
        now, remaining_s = self._front.clock.now(), context.time_remaining()
        try:
            inference = oip_proto.decode_request(oip_proto.parse(messages.ModelInferRequest, body))
        except GatewayError as error:
            self._front.telemetry.emit(Refused("grpc", error.fault))
            raise
        timeout_s = inference.timeout_s
        if remaining_s is not None:
            timeout_s = min(timeout_s, remaining_s, headers.MAX_TIMEOUT_S)

        said, forwarded = _read(context.invocation_metadata())
        peer = _address(context.peer())
        arrival = self._front.trust.arrive(
            peer,
            Claims(
                forwarded,
                said.get(headers.TENANT, ""),
                said.get(headers.AUTHORIZATION, ""),
                said.get(headers.HOPS, ""),
                said.get(headers.REGIONS, ""),
            ),
        )
        return Request(
            model=inference.model,
            version=inference.version,
            id=inference.id,
            inputs=inference.inputs,
            outputs=inference.outputs,
            parameters=inference.parameters,
            caller=arrival.caller,
            deadline=now + timeout_s,
            regions=arrival.regions,
            hops=arrival.hops,
            trace=tuple((name, said[name]) for name in headers.TRACE if name in said),
        )


def _read(metadata: Any) -> tuple[dict[str, str], str]:
    """Return the headers that matter, the first of each, and all lines of X-Forwarded-For joined.

    grpc 1.85 keeps only the last of several such lines, the one that the nearest proxy wrote; that costs
    us the client behind a chain of proxies that do not append, and cannot be used to lie.
    """
    said: dict[str, str] = {}
    forwarded = ""
    for name, value in metadata or ():
        if name in _READ:
            if said.setdefault(name, value) != value:
                raise GatewayError(Fault.INVALID, f"the metadata {name} is given twice, differently")
        elif name == headers.FORWARDED_FOR:
            forwarded = f"{forwarded},{value}" if forwarded else value
    return said, forwarded


def _address(peer: str) -> str:
    """Return the address in grpc's ``ipv4:127.0.0.1:5000`` or ``ipv6:%5B::1%5D:5000``; else nothing."""
    family, _, rest = peer.partition(":")
    return unquote(rest.rpartition(":")[0]) if family in {"ipv4", "ipv6"} else ""


def _told(provenance: Provenance) -> Metadata:
    said = (
        (headers.PROVENANCE, headers.provenance_value(provenance)),
        (headers.CERTIFIED, "true" if provenance.certified else "false"),
    )
    return (*said, (headers.DIGEST, provenance.digest)) if provenance.digest else said


def _retry_after(error: GatewayError) -> Metadata:
    """Tell when to come again: in HTTP's words, and in those that gRPC clients obey by themselves."""
    wait_s = error.retry_after_s
    if wait_s is None:
        if error.fault is not Fault.OVERLOADED:
            return ()
        wait_s = 1.0
    return (
        ("retry-after", str(max(1, math.ceil(wait_s)))),
        ("grpc-retry-pushback-ms", str(math.ceil(wait_s * 1000))),
    )
