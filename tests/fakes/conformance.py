"""An Edgeway to run the conformance suite against, and a proxy of each protocol that can lie about it.

Example::

    with edgeway(tmp_path) as stage:                        # an edge in front of a central gateway
        results = conformance(stage, "infer")              # id → ReportedResult
        stage.http_lie = lambda request, answer: answer.but(status=200)
        results = conformance(stage, "errors", lying=True)
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import grpc
from aiohttp import web
from yarl import URL

from gateway.__main__ import main
from gateway.app.process import GatewayProcess
from gateway.config.settings import load_settings
from loadtests.conformance.world import Ports, write
from tests.fakes.redis_server import free_port

HOP_BY_HOP = {"connection", "content-length", "transfer-encoding", "host", "expect", "date", "server"}


class ReportedResult(NamedTuple):
    """What the suite's JSON says of one check."""

    verdict: str
    reason: str


@dataclass
class ProxyRequest:
    """An HTTP request on its way to Edgeway."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class ProxyAnswer:
    """An HTTP answer on its way back; ``status`` 0: the connection is cut instead."""

    status: int
    headers: dict[str, str]
    body: bytes

    def but(self, **changes: Any) -> ProxyAnswer:
        return replace(self, **changes)

    def with_json(self, change: Callable[[Any], Any]) -> ProxyAnswer:
        """Change the body if it is JSON; ``change`` may work in place."""
        try:
            read = json.loads(self.body)
        except ValueError:
            return self
        changed = change(read)
        return self.but(body=json.dumps(read if changed is None else changed).encode())


HttpLie = Callable[[ProxyRequest, ProxyAnswer], ProxyAnswer]
GrpcLie = Callable[[str, bytes], bytes]


class Stage:
    """Where everything listens, and the lies in force."""

    def __init__(self) -> None:
        self.ports = Ports(free_port(), free_port(), free_port())
        self.lying_http = self.lying_grpc = 0
        self.http_ask: Callable[[ProxyRequest], None] = lambda _request: None
        self.http_lie: HttpLie = lambda _request, answer: answer
        self.grpc_lie: GrpcLie = lambda _method, message: message
        self.grpc_code: Callable[[str, grpc.StatusCode], grpc.StatusCode] = lambda _method, code: code

    def be_honest(self) -> None:
        """Stop lying."""
        fresh = Stage()
        self.http_ask, self.http_lie = fresh.http_ask, fresh.http_lie
        self.grpc_lie, self.grpc_code = fresh.grpc_lie, fresh.grpc_code


def conformance(
    stage: Stage, *areas: str, lying: bool = False, options: tuple[str, ...] = ()
) -> dict[str, ReportedResult]:
    """Run the suite as its command does; return its results."""
    http, rpc = (stage.lying_http, stage.lying_grpc) if lying else (stage.ports.http, stage.ports.grpc)
    only = [word for area in areas for word in ("--only", area)]
    echoes = ("--identity", "echo", "--identity", "echo_half")
    return results_of(
        f"http://127.0.0.1:{http}",
        "--grpc",
        f"127.0.0.1:{rpc}",
        "--model",
        "digits",
        *echoes,
        *only,
        *options,
    )


def results_of(*arguments: str) -> dict[str, ReportedResult]:
    """Run `edgeway conformance`; return its results, which its exit code must fit."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        file = Path(folder) / "results.json"
        code = main(["conformance", *arguments, "--json", str(file)])
        found = json.loads(file.read_text())
    results = {entry["id"]: ReportedResult(entry["verdict"], entry["reason"]) for entry in found["checks"]}
    assert code == int(any(result.verdict == "fail" for result in results.values()))
    return results


def failed(results: dict[str, ReportedResult]) -> set[str]:
    """Return the names of the checks that failed."""
    return {name for name, result in results.items() if result.verdict == "fail"}


@contextmanager
def edgeway(folder: Path) -> Iterator[Stage]:
    """Serve on a thread of its own while the block runs: the suite blocks the one that it is called on."""
    stage = Stage()
    central, edge = write(folder, stage.ports)

    @asynccontextmanager
    async def everything() -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for settings in (central, edge):
                await stack.enter_async_context(GatewayProcess(load_settings(settings, {})).serving())
            stage.lying_http = await stack.enter_async_context(_http_proxy(stage))
            stage.lying_grpc = stack.enter_context(_grpc_proxy(stage))
            yield

    with on_a_thread(everything):
        yield stage


@contextmanager
def on_a_thread(serve: Callable[[], Any]) -> Iterator[None]:
    """Keep an async context manager open on a loop in another thread."""
    ready, problem = threading.Event(), []
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def run() -> None:
        try:
            async with serve():
                ready.set()
                await stop.wait()
        except BaseException as error:
            problem.append(error)
            raise
        finally:
            ready.set()

    def work() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(run())

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    ready.wait(30)
    assert not problem, problem
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)


@asynccontextmanager
async def _http_proxy(stage: Stage) -> AsyncIterator[int]:
    async with aiohttp.ClientSession(auto_decompress=False) as client:

        async def handle(request: web.Request) -> web.StreamResponse:
            headers = {
                name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP
            }
            forwarded = ProxyRequest(request.method, request.raw_path, headers, await request.read())
            stage.http_ask(forwarded)
            url = URL(f"http://127.0.0.1:{stage.ports.http}{forwarded.path}", encoded=True)
            skipped = ("Accept-Encoding", "Accept", "User-Agent", "Content-Type")
            async with client.request(
                forwarded.method,
                url,
                headers=forwarded.headers,
                data=forwarded.body,
                skip_auto_headers=skipped,
            ) as response:
                kept = {
                    name: value for name, value in response.headers.items() if name.lower() not in HOP_BY_HOP
                }
                answer = stage.http_lie(forwarded, ProxyAnswer(response.status, kept, await response.read()))
            if not answer.status:
                assert request.transport is not None
                request.transport.abort()
            return web.Response(status=answer.status or 500, headers=answer.headers, body=answer.body)

        application = web.Application(client_max_size=64 << 20)
        application.router.add_route("*", "/{path:.*}", handle)
        runner = web.AppRunner(application, auto_decompress=False, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield runner.addresses[0][1]
        finally:
            await runner.cleanup()


class _Forward(grpc.GenericRpcHandler):
    def __init__(self, stage: Stage, channel: grpc.Channel) -> None:
        self._stage, self._channel = stage, channel

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        method = details.method
        call = self._channel.stream_stream(method)

        def behave(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
            metadata = [
                pair for pair in context.invocation_metadata() if not pair[0].startswith(("grpc-", "user-"))
            ]
            upstream = call(requests, metadata=metadata, timeout=context.time_remaining())
            context.add_callback(upstream.cancel)
            try:
                for message in upstream:
                    yield self._stage.grpc_lie(method, message)
                context.set_trailing_metadata([*upstream.initial_metadata(), *upstream.trailing_metadata()])
            except grpc.RpcError as error:
                context.abort(self._stage.grpc_code(method, error.code()), error.details())

        return grpc.stream_stream_rpc_method_handler(behave)


@contextmanager
def _grpc_proxy(stage: Stage) -> Iterator[int]:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(16) as pool, grpc.insecure_channel(f"127.0.0.1:{stage.ports.grpc}") as channel:
        server = grpc.server(pool, (_Forward(stage, channel),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield port
        finally:
            server.stop(0.1).wait()
