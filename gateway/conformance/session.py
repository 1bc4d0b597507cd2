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
from gateway.conformance.check import CheckResult
from gateway.conformance.files import RunDetails, write_json, write_junit
from gateway.conformance.grpc_wire import opened
from gateway.conformance.http_wire import HttpRequest, HttpWire, ServerAddress, WireError
from gateway.conformance.run import advertised, count, run
from gateway.conformance.server_under_test import ServerUnderTest, printable
from gateway.conformance.subject import CannotTestError, describe, discover
from gateway.conformance.suite import chosen
from gateway.conformance.verdicts import CheckVerdict, Violation

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
            http = HttpWire(_address(options.url), options.timeout)
            tested = _peer(options, http, stack)
            details = _run_details(options, tested)
            with report.progress(Console(stderr=True), len(checks)) as advance:
                results = run(checks, tested, advance)
        _report(console, options, details, results)
    except CannotTestError as error:
        print(f"edgeway: {printable(str(error).encode())}", file=sys.stderr)
        return CANNOT
    except OSError as error:
        print(f"edgeway: the report cannot be written: {error}", file=sys.stderr)
        return CANNOT
    return FAILED if count(results, CheckVerdict.FAIL) else PASSED


def _address(url: str) -> ServerAddress:
    try:
        return ServerAddress.of(url)
    except ValueError as error:
        raise CannotTestError(str(error)) from None


def _peer(options: Namespace, http: HttpWire, stack: ExitStack) -> ServerUnderTest:
    model = discover(http, options.model or "", batch=options.batch, seed=options.seed)
    identities = []
    for name in options.identity:
        try:
            identities.append(describe(http, name, batch=options.batch, seed=options.seed))
        except (Violation, WireError) as error:
            raise CannotTestError(f"the identity model '{name}': {error}") from None
    grpc = stack.enter_context(opened(options.grpc or "", timeout_s=options.timeout, tls=http.address.tls))
    return ServerUnderTest(http, grpc, model, identities=identities, extensions=advertised(http))


def _run_details(options: Namespace, tested: ServerUnderTest) -> RunDetails:
    return RunDetails(
        options.url,
        options.grpc or "",
        tested.model.name,
        _server(tested.http),
        tuple(sorted(tested.extensions)),
        f"edgeway {version('edgeway')}",
        datetime.now(UTC).isoformat(timespec="seconds"),
        "edgeway " + " ".join(options.command_line),
    )


def _report(console: Console, options: Namespace, details: RunDetails, results: list[CheckResult]) -> None:
    if options.verbose:
        report.failures(console, results)
    report.overview(console, results)
    report.summary(console, results, details.server)
    if options.json:
        write_json(options.json, details, results)
    if options.junit:
        write_junit(options.junit, details, results)


def _server(http: HttpWire) -> str:
    try:
        body = http.ask(HttpRequest("GET", "/v2")).object()
    except (WireError, Violation):
        return "a server without metadata"
    return f"{str(body.get('name'))[:60]} {str(body.get('version'))[:30]}"
