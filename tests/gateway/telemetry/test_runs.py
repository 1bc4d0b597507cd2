"""Runs of models, in numbers."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from gateway.core.telemetry import BatchRan
from gateway.telemetry.runs import Runs


def test_runs_as_series():
    """Versions and sizes of a model are one series; other models have their own."""
    runs = Runs()
    registry = CollectorRegistry()
    registry.register(runs)

    runs.ran(BatchRan("digits", 3, 2, 0.0002, 0.003, "1"))
    runs.ran(BatchRan("digits", 1, 1, 0.0, 0.03, "2"))
    runs.ran(BatchRan("words", 300, 1, 0.0, 0.5))

    text = generate_latest(registry).decode()
    for line in (
        'edgeway_batch_rows_bucket{le="1.0",model="digits"} 1.0',
        'edgeway_batch_rows_bucket{le="4.0",model="digits"} 2.0',
        'edgeway_batch_rows_sum{model="digits"} 4.0',
        'edgeway_batch_rows_bucket{le="256.0",model="words"} 0.0',
        'edgeway_batch_rows_bucket{le="+Inf",model="words"} 1.0',
        'edgeway_batch_queue_seconds_bucket{le="0.00025",model="digits"} 2.0',
        'edgeway_batch_run_seconds_bucket{le="0.005",model="digits"} 1.0',
        'edgeway_batch_run_seconds_count{model="digits"} 2.0',
    ):
        assert line in text.splitlines()
    assert repr(runs) == "<Runs of 3 kinds>"


def test_what_a_run_consists_of():
    """Joining and parting are taken off; each request counts the time of its run."""
    runs = Runs()

    runs.ran(BatchRan("digits", 8, 4, 0.5, 1.0, "2", queued_s=1.5, input_s=0.25, output_s=0.125))
    runs.ran(BatchRan("digits", 8, 1, 0.0, 0.25, "2", input_s=0.25, output_s=0.125))

    (cell,) = runs.cells.values()
    assert (cell.count, cell.requests, cell.queued_s) == (2, 5, 1.5)
    assert (cell.infer_s, cell.input_s, cell.output_s) == (0.625, 0.5, 0.25)
    assert (cell.all_infer_s, cell.all_input_s, cell.all_output_s) == (2.5, 1.25, 0.625)
