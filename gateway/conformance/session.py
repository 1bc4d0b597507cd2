"""One run from its arguments to its exit code."""

from __future__ import annotations

import sys
from argparse import Namespace
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Final

from rich.console import Console

from gateway.conformance import report
from gateway.conformance.check import Broken, Finding, Verdict
from gateway.conformance.files import Run, write_json, write_junit
from gateway.conformance.grpc_wire import opened
from gateway.conformance.http_wire import HttpRequest, HttpWire, Place, WireError
from gateway.conformance.peer import Peer, printable
from gateway.conformance.run import advertised, count, run
from gateway.conformance.subject import CannotTestError, describe, discover
from gateway.conformance.suite import chosen

PASSED: Final = 0
FAILED: Final = 1
CANNOT: Final = 2


def session(options: Namespace, console: Console | None = None) -> int:
    """Run the suite as ``options`` (of `edgeway conformance`) say; return the exit code."""
    console = console or Console()
    checks = chosen(tuple(options.only))
    if options.list:
        report.listing(console, checks)
        return PASSED
    try:
        with ExitStack() as stack:
            http = HttpWire(_place(options.url), options.timeout)
            peer = _peer(options, http, stack)
            told = _told(options, peer)
            with report.progress(Console(stderr=True), len(checks)) as advance:
                findings = run(checks, peer, advance)
        _tell(console, options, told, findings)
    except CannotTestError as error:
        print(f"edgeway: {printable(str(error).encode())}", file=sys.stderr)
        return CANNOT
    except OSError as error:
        print(f"edgeway: the report cannot be written: {error}", file=sys.stderr)
        return CANNOT
    return FAILED if count(findings, Verdict.FAIL) else PASSED


def _place(url: str) -> Place:
    try:
        return Place.of(url)
    except ValueError as error:
        raise CannotTestError(str(error)) from None


def _peer(options: Namespace, http: HttpWire, stack: ExitStack) -> Peer:
    model = discover(http, options.model or "", batch=options.batch, seed=options.seed)
    identities = []
    for name in options.identity:
        try:
            identities.append(describe(http, name, batch=options.batch, seed=options.seed))
        except (Broken, WireError) as error:
            raise CannotTestError(f"the identity model '{name}': {error}") from None
    grpc = stack.enter_context(opened(options.grpc or "", timeout_s=options.timeout, tls=http.place.tls))
    return Peer(http, grpc, model, identities=identities, extensions=advertised(http))


def _told(options: Namespace, peer: Peer) -> Run:
    return Run(
        options.url,
        options.grpc or "",
        peer.model.name,
        _server(peer.http),
        tuple(sorted(peer.extensions)),
        f"edgeway {version('edgeway')}",
        datetime.now(UTC).isoformat(timespec="seconds"),
        "edgeway " + " ".join(options.said),
    )


def _tell(console: Console, options: Namespace, told: Run, findings: list[Finding]) -> None:
    if options.verbose:
        report.failures(console, findings)
    report.overview(console, findings)
    report.summary(console, findings, told.server)
    if options.json:
        write_json(options.json, told, findings)
    if options.junit:
        write_junit(options.junit, told, findings)


def _server(http: HttpWire) -> str:
    try:
        body = http.ask(HttpRequest("GET", "/v2")).object()
    except (WireError, Broken):
        return "a server without metadata"
    return f"{str(body.get('name'))[:60]} {str(body.get('version'))[:30]}"
