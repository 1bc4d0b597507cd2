"""What the cases read: load generators' words, /proc, a model's statistics."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter

import pytest

from gateway.core.request import Provenance
from gateway.wire.oip.json import decode_response
from loadtests.bench import fixed_upstream, procfs
from loadtests.bench.bare_onnx import rows_per_second
from loadtests.bench.edge_model import batches_of, judge
from loadtests.bench.loads import Load, parse_h2load, parse_wrk

WRK = """\
Running 1s test @ http://127.0.0.1:35437/v2/models/digits/infer
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.80ms    1.02ms  12.21ms   90.04%
    Req/Sec    11.41k     1.20k   13.02k    80.00%
  Latency Distribution
     50%    {median}
     75%    2.92ms
     90%    3.61ms
     99%    6.92ms
  11364 requests in 1.00s, 6.48MB read
Requests/sec:  11338.70
Transfer/sec:      6.46MB
"""
H2LOAD = """\
finished in 153.72ms, 13010.35 req/s, 4.11MB/s
requests: 2000 total, 2000 started, 2000 done, {succeeded} succeeded, {failed} failed, 0 errored, 0 timeout
status codes: {succeeded} 2xx, 0 3xx, 0 4xx, {failed} 5xx
"""


@pytest.mark.parametrize(
    ("median", "us"), [("48.00us", 48.0), ("2.71ms", 2710.0), ("1.02s", 1_020_000.0), ("1.10m", 66_000_000.0)]
)
def test_wrk_tells_rate_and_median_in_any_unit(median: str, us: float) -> None:
    load = parse_wrk(WRK.format(median=median), 0.4)

    assert load.rps == 11338.70
    assert load.us == pytest.approx(us)
    assert load.share == 0.4
    assert load.p99_us == 6920.0


@pytest.mark.parametrize(
    "more", ["  Non-2xx or 3xx responses: 3\n", "  Socket errors: connect 0, read 7, write 0, timeout 0\n"]
)
def test_a_load_that_met_errors_is_no_measurement(more: str) -> None:
    with pytest.raises(RuntimeError, match="errors"):
        parse_wrk(WRK.format(median="48.00us") + more)


def test_a_wrk_that_says_nothing_is_no_measurement() -> None:
    with pytest.raises(RuntimeError, match="nothing"):
        parse_wrk("unable to connect\n")


def test_h2load_tells_the_rate_and_by_it_the_mean_of_calls_at_once() -> None:
    load = parse_h2load(H2LOAD.format(succeeded=2000, failed=0), 2000, 32)

    assert load == Load(13010.35, pytest.approx(32 / 13010.35 * 1e6))


@pytest.mark.parametrize(("succeeded", "failed"), [(1999, 1), (12000, 0)])
def test_h2load_must_have_had_every_call_answered(succeeded: int, failed: int) -> None:
    with pytest.raises(RuntimeError, match="errors"):
        parse_h2load(H2LOAD.format(succeeded=succeeded, failed=failed), 2000, 32)


def test_a_process_may_be_called_anything() -> None:
    text = "17 (a) S 9 (b)) S 4 17 17 0 -1 4194560 99 0 0 0 250 50 7 8 20 0 1 0 12 1000 1"

    assert procfs.parse_stat(text) == procfs.Stat(17, 4, 300)


def test_a_family_is_everybody_beneath() -> None:
    stats = [procfs.Stat(*each, 0) for each in ((1, 0), (2, 1), (3, 2), (4, 2), (5, 1), (6, 9))]

    assert procfs.family(2, stats) == {2, 3, 4}
    assert procfs.family(7, stats) == {7}


def test_resident_memory_is_told_in_bytes() -> None:
    assert procfs.parse_resident("Name:\tx\nVmHWM:\t  9000 kB\nVmRSS:\t   8200 kB\n") == 8200 * 1024
    with pytest.raises(ValueError, match="VmRSS"):
        procfs.parse_resident("Name:\tkthreadd\n")


def test_cpu_time_of_children_counts() -> None:
    """A shell that waits for a child that works."""
    work = f"{sys.executable} -c 'while True: pass'; true"
    parent = subprocess.Popen(["sh", "-c", work], start_new_session=True)
    try:
        deadline = time.monotonic() + 30
        while procfs.cpu_s(parent.pid) < 0.05 and time.monotonic() < deadline:
            time.sleep(0.02)

        assert procfs.cpu_s(parent.pid) >= 0.05
        assert procfs.resident_bytes(os.getpid()) > 1 << 20
    finally:
        os.killpg(parent.pid, 9)
        parent.wait()


def test_batches_are_counted_over_all_versions() -> None:
    def ran(size: int, count: int) -> dict[str, object]:
        return {"batch_size": size, "compute_infer": {"count": count, "ns": 1}}

    statistics = {"model_stats": [{"batch_stats": [ran(1, 5), ran(32, 7)]}, {"batch_stats": []}]}

    assert batches_of(statistics) == Counter({1: 5, 32: 7})


def test_bare_rows_take_as_long_as_their_batches() -> None:
    """Ten runs of one row and one of ten: 20 rows in 10 x 0.1 s + 1 s."""
    assert rows_per_second({1: 10, 10: 1}, {1: 0.1, 10: 1.0}) == pytest.approx(10.0)


def test_the_better_setting_makes_the_rows_and_its_own_batches_the_yardstick() -> None:
    values = {
        "batched": [100.0],
        "bare_batched": [1000.0],
        "inline": [200.0],
        "bare_inline": [250.0],
        "joined": [150.0],
        "bare_joined": [1000.0],
        "triton": [100.0],
        "mlserver_json": [10.0],
        "mlserver_grpc": [20.0],
    }

    result = judge(values, {"batched": Counter({8: 2}), "inline": Counter({1: 9}), "joined": Counter({8: 3})})

    assert result.details["setting"] == "inline"
    assert {row.peer.split(",")[0]: row.ratio.median for row in result.rows if row.ratio} == {
        "MLServer": 10.0,
        "Triton": 2.0,
        "bare ONNX Runtime": 0.8,
    }
    assert result.is_kept


def test_the_fixed_answer_is_one_of_300_bytes_that_the_protocol_knows() -> None:
    head, _, body = fixed_upstream.answer().partition(b"\r\n\r\n")

    assert len(body) == 300
    length = int(head.partition(b"Inference-Header-Content-Length: ")[2].split(b"\r\n")[0])
    (output,) = decode_response(body, length, Provenance("central")).outputs
    assert output.shape == (1, 10)


class Written:
    """A transport that counts answers."""

    def __init__(self) -> None:
        self.answers = 0

    def write(self, data: bytes) -> None:
        self.answers += data.count(b"answer")


@pytest.mark.parametrize("size", [1, 7, 40, 1000])
def test_the_fixed_upstream_answers_once_for_each_request_however_it_comes(size: int) -> None:
    request = b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 30\r\n\r\n" + b"x" * 30
    written = Written()
    exchange = fixed_upstream.Exchange(b"answer")
    exchange.connection_made(written)  # type: ignore[arg-type] # of a transport it needs `write` alone

    for _ in range(3):
        for start in range(0, len(request), size):
            exchange.data_received(request[start : start + size])

    assert written.answers == 3
