"""What perf_analyzer prints, as we read it."""

from __future__ import annotations

import pytest

from loadtests.clients.perf_analyzer import counts

REPORT = """\
Request concurrency: 1
  Client:
    Request count: 585
    Throughput: 579.2 infer/sec
  Server:
    Inference count: 586
    Execution count: 586
    {} request count: 586
Request concurrency: 2
  Client:
    Request count: 821
  Server:
    {} request count: 822
"""


@pytest.mark.parametrize("word", ["Successful", "Composing models: \n    Successful"])
def test_each_step_has_what_was_sent_and_what_was_counted(word: str) -> None:
    """In their order; whatever stands between them."""
    assert counts(REPORT.format(word, word)) == [(585, 586), (821, 822)]


def test_a_step_without_the_servers_count_is_none() -> None:
    """Nothing is made up for it."""
    assert counts("Request concurrency: 1\n  Client:\n    Request count: 585\n") == []
