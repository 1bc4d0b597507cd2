"""What endpoints say of their load, in ORCA's text form."""

from __future__ import annotations

import pytest

from gateway.upstreams.load import LoadReport, observe, parse_report
from tests.fakes.tls import KeptLoad


def test_a_report_is_read():
    """Whatever else is in it."""
    value = "TEXT cpu_utilization=0.3, mem_utilization=0.8,rps_fractional=10.5, eps=1, named_metrics.kv=0.25, new=7"
    assert parse_report(value) == LoadReport(cpu=0.3, memory=0.8, rps=10.5, eps=1.0, named={"kv": 0.25})
    assert parse_report("TEXT application_utilization=1.5") == LoadReport(application=1.5)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "TEXT ",
        "TEXT",
        "JSON {}",
        "TEXT cpu_utilization",
        "TEXT cpu_utilization=",
        "TEXT cpu_utilization=nan, eps=inf, rps_fractional=-1, mem_utilization=1_0",
        "TEXT cpu_utilization=٣",
        "TEXT cpu_utilization=" + "9" * 5000,
        "TEXT " + ",".join(["x=1"] * 100),
    ],
)
def test_what_says_nothing_is_no_report(value):
    """It comes from another machine."""
    assert parse_report(value) is None


def test_a_long_report_is_read_to_some_end():
    """So many fields and no more."""
    report = parse_report("TEXT " + ",".join(f"named_metrics.a{n}=1" for n in range(100)))
    assert report is not None
    assert len(report.named) == 64


def test_who_observes_gets_reports_and_refusals():
    """How long a server wants to be left alone, if it says so."""
    kept = KeptLoad()
    observe(kept, {}, is_refused=False)
    observe(kept, {"endpoint-load-metrics": "TEXT eps=2"}, is_refused=False)
    observe(kept, {"retry-after": "7"}, is_refused=True)
    observe(kept, {"retry-after": "soon"}, is_refused=True)
    assert kept.reports == [LoadReport(eps=2.0)]
    assert kept.refusals == [7.0, None]
