"""What the run shows on the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from gateway.conformance.check import Check, CheckResult
from gateway.conformance.clauses import DOCUMENTS
from gateway.conformance.run import count
from gateway.conformance.server_under_test import printable
from gateway.conformance.verdicts import CheckVerdict, Obligation

STYLES: Final = {
    CheckVerdict.PASS: "green",
    CheckVerdict.FAIL: "bold red",
    CheckVerdict.UNSUPPORTED: "yellow",
    CheckVerdict.NOT_APPLICABLE: "dim",
}
_NAMED: Final = 4
"""Up to so many checks with the same reason are named; of more, areas and numbers."""


def listing(console: Console, checks: Sequence[Check]) -> None:
    """Show the checks without running them, and the documents whose clauses they name."""
    table = _section(None)
    for check in checks:
        optional = " [yellow](optional)[/]" if check.obligation is Obligation.OPTIONAL else ""
        table.add_row(check.id, f"{escape(check.title)}{optional}\n[dim]{escape(check.clause)}[/]")
    console.print(table)
    documents = _section("documents")
    for name, address in DOCUMENTS.items():
        documents.add_row(name, escape(address))
    console.print()
    console.print(documents)
    console.print(f"\n{len(checks)} checks")


@contextmanager
def progress(console: Console, total: int) -> Iterator[Callable[[CheckResult], None]]:
    """Show a progress bar; yields the function that advances it."""
    columns = (TextColumn("{task.description:<34}"), BarColumn(30), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("checks", total=total)

        def advance(result: CheckResult) -> None:
            bar.update(task, advance=1, description=result.check.id[:34])

        yield advance


def overview(console: Console, results: Sequence[CheckResult]) -> None:
    """Show a line for each area, each failure with its reason, and why the rest was left out."""
    areas = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    areas.add_column("area")
    for verdict in CheckVerdict:
        areas.add_column(str(verdict), justify="right")
    for name in dict.fromkeys(result.check.area for result in results):
        within = [result for result in results if result.check.area == name]
        areas.add_row(name, *(_number(count(within, verdict), verdict) for verdict in CheckVerdict))
    console.print(areas)
    failed = _section("failed")
    for result in results:
        if result.verdict is CheckVerdict.FAIL:
            check = result.check
            text = f"{escape(check.title)}\n[red]{_safe(result.reason)}[/]\n[dim]{escape(check.clause)}[/]"
            failed.add_row(f"[bold red]{check.id}[/]", text)
    sections = [failed]
    for verdict, title in (
        (CheckVerdict.UNSUPPORTED, "unsupported"),
        (CheckVerdict.NOT_APPLICABLE, "not applicable"),
    ):
        sections.append(_section(title))
        for checks, reason in grouped(results, verdict):
            sections[-1].add_row(f"[{STYLES[verdict]}]{checks}[/]", _safe(reason))
    for section in sections:
        if section.row_count:
            console.print(section)
            console.print()


def grouped(results: Sequence[CheckResult], verdict: CheckVerdict) -> Iterator[tuple[str, str]]:
    """Yield the checks that have a verdict for the same reason, and the reason."""
    by_reason: dict[str, list[Check]] = {}
    for result in results:
        if result.verdict is verdict:
            by_reason.setdefault(result.reason, []).append(result.check)
    for reason, checks in by_reason.items():
        if len(checks) <= _NAMED:
            yield "\n".join(check.id for check in checks), reason
        else:
            numbers = Counter(check.area for check in checks)
            yield "\n".join(f"{area}: {number} checks" for area, number in numbers.items()), reason


def failures(console: Console, results: Sequence[CheckResult]) -> None:
    """Show every failure with its clause, the requests and the answers."""
    for result in results:
        if result.verdict is not CheckVerdict.FAIL:
            continue
        check = result.check
        console.rule(f"[bold red]{check.id}[/]")
        console.print(f"{escape(check.title)}\n[dim]{escape(check.clause)}[/]\n{_safe(result.reason)}")
        for exchange in result.exchanges:
            for name, text in (("request", exchange.sent), ("answer", exchange.got)):
                console.print(f"[bold]{name}[/]")
                console.print(text, markup=False, highlight=False)


def summary(console: Console, results: Sequence[CheckResult], server: str) -> None:
    """Show the totals in one line."""
    numbers = ", ".join(f"{count(results, verdict)} {verdict}" for verdict in CheckVerdict)
    style = "bold red" if count(results, CheckVerdict.FAIL) else "green"
    console.print(f"[{style}]{_safe(server)}: {len(results)} checks: {numbers}[/]", highlight=False)


def _section(title: str | None) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False, title=title, title_justify="left")
    table.add_column(max_width=32, overflow="fold")
    table.add_column(overflow="fold")
    return table


def _number(number: int, verdict: CheckVerdict) -> str:
    return f"[{STYLES[verdict]}]{number}[/]" if number else "[dim]·[/]"


def _safe(text: str) -> str:
    return escape(printable(text.encode(errors="backslashreplace")))
