"""How requests are scheduled, by a model's file and by this process's settings."""

from __future__ import annotations

import pytest

from edge_models.configuration.reading import parse_text
from edge_models.configuration.scheduling import Scheduling, scheduling_of
from edge_models.errors import ModelError
from edge_models.settings import BatchingSettings, QueuePolicy

WHOLE = """
input { name: "x" data_type: TYPE_FP32 dims: [ 4 ] }
output { name: "y" data_type: TYPE_FP32 dims: [ 4 ] }
"""


def scheduling(text: str, entry: BatchingSettings | None = None) -> Scheduling:
    config = parse_text(text.encode())
    return scheduling_of(config, entry, batchable=config.max_batch_size > 0)


@pytest.mark.parametrize("entry", [None, BatchingSettings(), BatchingSettings(max_batch_size=3)], ids=repr)
@pytest.mark.parametrize("batchable", [True, False])
def test_without_a_file_settings_and_graph_decide(entry, batchable):
    """As it was before there were files."""
    batching = entry or BatchingSettings()

    assert scheduling_of(None, entry, batchable=batchable) == Scheduling(
        batching, batching.max_batch_size if batchable else None, batchable
    )


def test_no_batch_dimension():
    """`max_batch_size: 0`, or none, with all inputs and outputs: the first dimension is like any other."""
    found = scheduling(WHOLE)

    assert (found.max_rows, found.merges, found.instances) == (None, False, None)


def test_batches_without_dynamic_batching():
    """Triton's default scheduler: requests of several rows, each alone."""
    found = scheduling("max_batch_size: 8" + WHOLE)

    assert (found.max_rows, found.merges) == (8, False)


def test_dynamic_batching():
    """All of it, with Triton's names."""
    found = scheduling(
        """max_batch_size: 8
        dynamic_batching {
          preferred_batch_size: [ 4, 8 ] max_queue_delay_microseconds: 100
          priority_levels: 3 default_priority_level: 2
          default_queue_policy { max_queue_size: 7 }
          priority_queue_policy { key: 3 value { timeout_action: DELAY default_timeout_microseconds: 9 } }
        }"""
        + WHOLE
    )

    assert found == Scheduling(
        BatchingSettings(
            max_batch_size=8,
            preferred_batch_size=(4, 8),
            max_queue_delay_microseconds=100,
            priority_levels=3,
            default_priority_level=2,
            default_queue_policy=QueuePolicy(max_queue_size=7),
            priority_queue_policy={3: QueuePolicy(timeout_action="DELAY", default_timeout_microseconds=9)},
        ),
        8,
        merges=True,
    )


def test_sequences_are_merged():
    """Steps of several share a run; nothing else need say so."""
    assert scheduling("max_batch_size: 8 sequence_batching { }" + WHOLE).merges


def test_settings_stand_for_all_that_the_file_says_about_batches():
    """They are nearer; what they do not say is their default, and not the file's. Neither instances nor the first dimension are theirs."""
    entry = BatchingSettings(max_queue_delay_microseconds=500)

    found = scheduling(
        "max_batch_size: 8 dynamic_batching { preferred_batch_size: 4 } instance_group { count: 2 }" + WHOLE,
        entry,
    )

    assert found == Scheduling(entry, 64, merges=True, instances=2)
    assert scheduling(WHOLE, entry) == Scheduling(entry, None, merges=False)


def test_what_runs_on_the_event_loop_is_said_in_settings_only():
    """So they do not stand for what the file says about the rest."""
    entry = BatchingSettings(inline_max_rows=2, inline_join=True)

    found = scheduling("max_batch_size: 8 dynamic_batching { preferred_batch_size: 4 }" + WHOLE, entry)

    assert found.batching == BatchingSettings(
        max_batch_size=8, preferred_batch_size=(4,), inline_max_rows=2, inline_join=True
    )
    assert scheduling(WHOLE, entry).batching == BatchingSettings(inline_max_rows=2)


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        ("\n\nmax_batch_size: 65537", "config.pbtxt:3", "max_batch_size: must be a whole number, <= 65536"),
        (
            "max_batch_size: 2\ndynamic_batching { preferred_batch_size: 4 }",
            "config.pbtxt:2",
            "preferred_batch_size must not exceed max_batch_size",
        ),
        (
            "max_batch_size: 2\n\ndynamic_batching { priority_levels: 4 }",
            "config.pbtxt:3",
            "default_priority_level must be a level from 1",
        ),
        (
            "dynamic_batching { preserve_ordering: true priority_levels: 2 default_priority_level: 1 }",
            "config.pbtxt:1",
            "contradict each other",
        ),
        (
            "dynamic_batching { preserve_ordering: true default_queue_policy {\n timeout_action: DELAY } }",
            "config.pbtxt:1",
            "preserve_ordering and the timeout_action DELAY contradict each other",
        ),
        (
            """dynamic_batching { priority_levels: 2 default_priority_level: 1
            priority_queue_policy { key: 2 value { timeout_action: 9 } } }""",
            "config.pbtxt:2",
            "priority_queue_policy.timeout_action: Invalid enum value '9'",
        ),
        (
            "dynamic_batching { max_queue_delay_microseconds: 18446744073709551615 }",
            "config.pbtxt:1",
            "max_queue",
        ),
        (
            "dynamic_batching { default_queue_policy {\n default_timeout_microseconds: 18446744073709551615 } }",
            "config.pbtxt:2",
            "default_queue_policy.default_timeout_microseconds: must be",
        ),
    ],
)
def test_what_cannot_be_obeyed_is_named_with_its_line(text, where, words):
    """Before anything is served."""
    with pytest.raises(ModelError, match=words) as caught:
        scheduling(text)

    assert str(caught.value).startswith(where)


def test_more_levels_than_numbers_are_as_many_as_there_are():
    """Triton's are of 64 bits without a sign."""
    found = scheduling(
        f"dynamic_batching {{ priority_levels: {(1 << 64) - 1} default_priority_level: {(1 << 64) - 1} }}"
    )

    assert found.batching.default_priority_level == (1 << 63) - 1
