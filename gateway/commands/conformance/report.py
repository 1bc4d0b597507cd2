"""What the run shows on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from gateway.commands.conformance.check import Check, Finding, Verdict
from gateway.commands.conformance.peer import printable
from gateway.commands.conformance.run import count

STYLES: Final = {Verdict.PASS: "green", Verdict.FAIL: "bold red", Verdict.UNSUPPORTED: "yellow"}


def listing(console: Console, checks: Sequence[Check]) -> None:
    """Show the checks without running them."""
    table = Table(box=None, pad_edge=False)
    for column in ("check", "level", "what is checked", "clause"):
        table.add_column(column)
    for check in checks:
        table.add_row(check.id, str(check.level), escape(check.title), escape(check.clause))
    console.print(table)
    console.print(f"{len(checks)} checks")


@contextmanager
def progress(console: Console, total: int) -> Iterator[Callable[[Finding], None]]:
    """Show how far the run is; yields the function that moves it on."""
    columns = (TextColumn("{task.description:<34}"), BarColumn(30), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("checks", total=total)

        def advance(finding: Finding) -> None:
            bar.update(task, advance=1, description=finding.check.id[:34])

        yield advance


def table(console: Console, findings: Sequence[Finding]) -> None:
    """Show the findings: a line for each area, and one for each check that did not pass."""
    areas = Table(title="areas")
    areas.add_column("area")
    for verdict in Verdict:
        areas.add_column(str(verdict), justify="right")
    for name in dict.fromkeys(finding.check.area for finding in findings):
        within = [finding for finding in findings if finding.check.area == name]
        areas.add_row(name, *(_number(count(within, verdict), verdict) for verdict in Verdict))
    rest = Table(title="what did not pass", show_lines=False)
    for column in ("check", "verdict", "rule", "reason"):
        rest.add_column(column, overflow="fold")
    for finding in findings:
        if finding.verdict is not Verdict.PASS:
            verdict = f"[{STYLES[finding.verdict]}]{finding.verdict}[/]"
            rest.add_row(finding.check.id, verdict, escape(finding.check.title), _safe(finding.reason))
    if rest.row_count:
        console.print(rest)
    console.print(areas)


def failures(console: Console, findings: Sequence[Finding]) -> None:
    """Show every failure with its clause, the requests and the answers."""
    for finding in findings:
        if finding.verdict is not Verdict.FAIL:
            continue
        check = finding.check
        console.rule(f"[bold red]{check.id}[/]")
        console.print(f"{escape(check.title)}\n[dim]{escape(check.clause)}[/]\n{_safe(finding.reason)}")
        for exchange in finding.exchanges:
            console.print("[bold]request[/]")
            console.print(exchange.sent, markup=False, highlight=False)
            console.print("[bold]answer[/]")
            console.print(exchange.got, markup=False, highlight=False)


def summary(console: Console, findings: Sequence[Finding], server: str) -> None:
    """Show the one line that is remembered."""
    numbers = ", ".join(f"{count(findings, verdict)} {verdict}" for verdict in Verdict)
    style = "bold red" if count(findings, Verdict.FAIL) else "green"
    console.print(f"[{style}]{_safe(server)}: {len(findings)} checks, {numbers}[/]")


def _number(number: int, verdict: Verdict) -> str:
    return f"[{STYLES[verdict]}]{number}[/]" if number else "[dim]·[/]"


def _safe(text: str) -> str:
    return escape(printable(text.encode(errors="backslashreplace")))
