"""What the demo shows on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from edge_models.certificate import Certificate
from gateway.commands.demo.stage import CENTRALS, HOST, REGIONS, Stage
from gateway.commands.demo.tally import Tally


def headline(console: Console, requests: int) -> None:
    """Show what is about to happen."""
    console.print(
        "[bold]Edgeway demo[/]: three regions, two central replicas, real models, images and clients"
    )
    console.print(
        f"{requests:,} requests; on the way the central tier, one Redis and one gateway are killed and come "
        "back\n",
        style="dim",
    )


def certificate(console: Console, proof: Certificate) -> None:
    """Show what was certified."""
    console.print(
        f"certified: the edge may answer above {proof.score} {proof.threshold:.4f}; "
        f"it covers {proof.coverage:.0%} of the sample and disagrees with central on at most "
        f"{proof.upper_bound:.2%} of all (allowed {proof.alpha:.0%}, confidence {1 - proof.delta:.0%})"
    )


def processes(console: Console, stage: Stage) -> None:
    """Show where every process listens."""
    table = Table(box=None, pad_edge=False)
    for column in ("process", "HTTP", "gRPC", "admin", "Redis"):
        table.add_column(column)
    for name, ports in stage.ports.items():
        redis = str(ports.redis) if name in stage.redis else "-"
        table.add_row(name, str(ports.http), str(ports.grpc), str(ports.admin), redis)
    console.print(table)
    if not stage.has_redis:
        console.print("[yellow]no redis-server on this machine: running without L2[/]")
    console.print()


@contextmanager
def bar(console: Console, total: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar; yields the function that moves it on."""
    columns = (TextColumn("requests"), BarColumn(40), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("requests", total=total)
        yield lambda count: progress.advance(task, count)


def result(console: Console, tally: Tally, file: Path) -> None:
    """Show the result as two tables and a verdict."""
    console.print()
    table = Table(title="result", show_header=False)
    for name, value in _facts(tally):
        table.add_row(name, value)
    console.print(table)
    phases = Table(title="latency as the clients saw it")
    for column in ("phase", "requests", "p50 ms", "p95 ms", "p99 ms"):
        phases.add_column(column, justify="left" if column == "phase" else "right")
    for phase, count in tally.requests_per_phase.items():
        figures = (f"{tally.p50_ms[phase]:.2f}", f"{tally.p95_ms[phase]:.2f}", f"{tally.p99_ms[phase]:.2f}")
        phases.add_row(phase, f"{count:,}", *figures)
    console.print(phases)
    for promise in tally.broken_promises:
        console.print(f"[red]broken promise:[/] {promise}")
    if not tally.broken_promises:
        console.print("[green]every promise was kept[/]")
    console.print(f"written to {file}")


def _facts(tally: Tally) -> Iterator[tuple[str, str]]:
    yield "requests", f"{tally.requests:,}"
    yield "failed attempts", f"{tally.failed} (allowed only in the 1 s after the gateway was killed)"
    yield "answered in region", _pairs(tally.per_region)
    yield "answered by", _pairs(tally.answered_by)
    yield "cache hit rate", f"{tally.cache_hit_rate:.1%} (promised 85 %)"
    yield "edge share of computed", f"{tally.edge_share_of_computed:.1%} (promised 60 %)"
    yield "accuracy", f"{tally.accuracy:.2%}, central alone {tally.accuracy_central_alone:.2%}"
    yield "disagreement with central", f"{tally.disagreement_with_central:.2%}"
    yield "uncertified answers", f"{tally.uncertified} (while the central tier was down)"
    detected, failed = tally.failover["detected_ms"], tally.failover["failed_requests"]
    yield "fail-over", f"{detected:.0f} ms until the next region answered, {failed:.0f} failed"
    if tally.per_replica:
        yield "spread over central", f"{_pairs(tally.per_replica)} (by the gateways, since they started)"
    yield "policy generation", str(tally.policy_generation)


def _pairs(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def keep(console: Console, stage: Stage) -> None:
    """Show how to call what is left running."""
    console.print("\nleft running; Ctrl-C stops everything\n")
    zeros = ", ".join(["0"] * 3)
    for name in (*REGIONS, *CENTRALS):
        ports = stage.ports[name]
        base = f"http://{HOST}:{ports.http}"
        admin = f"http://{HOST}:{ports.admin}"
        console.print(f"[bold]{name}[/]  {base}  grpc {HOST}:{ports.grpc}  admin {admin}", soft_wrap=True)
        console.print(f"  curl -s {base}/v2/models/digits", soft_wrap=True, highlight=False)
    request = Path(stage.folder, "request.json")
    pixels = ",".join(["0"] * 784)
    request.write_text(
        f'{{"inputs":[{{"name":"image","shape":[1,784],"datatype":"FP32","data":[{pixels}]}}]}}\n'
    )
    console.print(f"\nan image of zeros ({zeros}, …) is in {request}; each region answers it with")
    for name in REGIONS:
        url = f"http://{HOST}:{stage.ports[name].http}/v2/models/digits/infer"
        console.print(f"  curl -si {url} -d @{request}", soft_wrap=True, highlight=False)
