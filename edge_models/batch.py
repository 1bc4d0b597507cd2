"""Which requests make a batch, and how a batch is run so that none harms another.

When the run of a batch fails, every request is run once more alone: one bad request costs the others of
its batch time and nothing else.
"""

from __future__ import annotations

import time
from asyncio import Future
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np

from gateway.core.errors import Fault, GatewayError
from gateway.core.tensor import Array

Feed = Mapping[str, Array]
Run = Callable[[Feed], list[Array]]
Outcome = list[Array] | GatewayError


def batch_length(rows: Iterable[int], preferred: frozenset[int], max_rows: int, *, late: bool) -> int:
    """How many requests from the head of the queue should run now; 0 means wait for more.

    Triton's rule: the largest preferred size that can be had runs at once. A batch that cannot grow any
    more, or whose first request is ``late``, runs as it is.

    Args:
        rows: of each request in the queue, the first one's at most ``max_rows``.
        preferred: batch sizes in rows.
        max_rows: of any batch.
        late: the first request has waited as long as it may.
    """
    total = count = best = 0
    full = False
    for size in rows:
        if total + size > max_rows:
            full = True
            break
        total += size
        count += 1
        if total in preferred:
            best = count
    if late:
        return count
    return best or (count if full or total >= max(preferred) else 0)


class Spent(NamedTuple):
    """Seconds that a batch took, and how many of them went into building inputs and splitting outputs."""

    total_s: float
    input_s: float = 0.0
    output_s: float = 0.0


def run_batch(run: Run, feeds: Sequence[Feed], rows: Sequence[int]) -> tuple[list[Outcome], Spent]:
    """Run the feeds as one, along dimension 0, or each alone when that fails; return outcomes and times."""
    started = time.perf_counter()
    if len(feeds) > 1:
        try:
            outcomes, input_at, ran_at = _run_together(run, feeds, rows)
        except Exception:  # noqa: BLE001, S110 - whatever one request did must not reach the others
            pass
        else:
            ended = time.perf_counter()
            return outcomes, Spent(ended - started, input_at - started, ended - ran_at)
    outcomes = [_run_alone(run, feed) for feed in feeds]
    return outcomes, Spent(time.perf_counter() - started)


def _run_together(run: Run, feeds: Sequence[Feed], rows: Sequence[int]) -> tuple[list[Outcome], float, float]:
    """Return the outcomes, when the input was ready, and when the run had ended."""
    whole = {name: np.concatenate([feed[name] for feed in feeds]) for name in feeds[0]}
    input_at = time.perf_counter()
    outputs = run(whole)
    ran_at = time.perf_counter()
    total = sum(rows)
    if any(output.shape[:1] != (total,) for output in outputs):
        raise ValueError("an output does not have one row for each row of the inputs")
    outcomes: list[Outcome] = [
        [output[stop - count : stop] for output in outputs]
        for stop, count in zip(accumulate(rows), rows, strict=True)
    ]
    return outcomes, input_at, ran_at


def _run_alone(run: Run, feed: Feed) -> Outcome:
    try:
        return run(feed)
    except GatewayError as error:
        return error
    except Exception:  # noqa: BLE001 - the waiter gets an error, whatever it was
        return run_failed()


def failure_of(done: Future[Any]) -> GatewayError:
    """Return what each request of a batch gets whose run was cancelled or has raised."""
    error = None if done.cancelled() else done.exception()
    return error.replaced() if isinstance(error, GatewayError) else run_failed()


def run_failed() -> GatewayError:
    """Return the error of a run that ended without an error that a client may see."""
    return GatewayError(Fault.INTERNAL, "the model failed to run", counts=True)
