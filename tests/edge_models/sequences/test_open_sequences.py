"""Which sequences are open, against a list that knows them all; more of it is in test_batcher_bounds.py."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge_models.sequences.open_sequences import OpenSequence, OpenSequences
from gateway.core.errors import GatewayError

KEYS = st.tuples(st.sampled_from(["a", "b", "c"]), st.just(""), st.integers(1, 4))
ACTIONS = st.lists(
    st.tuples(st.sampled_from(["begin", "find", "end", "hold"]), KEYS, st.integers(0, 3)), max_size=60
)
IDLE_S, MOST, MOST_BYTES = 4.0, 6, 64


@given(ACTIONS)
def test_they_are_open_until_they_end_or_are_idle_and_never_too_many(actions):
    """Whatever comes in whatever order; what ends is told once, and its memory is given back."""
    ended: list[OpenSequence] = []
    subject = OpenSequences("m", idle_s=IDLE_S, most=MOST, most_bytes=MOST_BYTES, ended=ended.append)
    now, last_used, begun = 0.0, {}, 0
    for action, key, seconds in actions:
        now += seconds
        alive = {each for each, used in last_used.items() if now - used < IDLE_S}
        try:
            if action == "begin":
                subject.begin(key, now)
                begun += 1
                last_used[key] = now
            elif action == "end":
                subject.expire(now)
                subject.end(key)
                last_used.pop(key, None)
            else:
                found = subject.find(key, now)
                assert (found is not None) == (key in alive)
                if found is not None:
                    last_used[key] = now
                if found is not None and action == "hold":
                    subject.hold(found, [np.zeros(8, np.int8)])
        except GatewayError:
            assert action in {"begin", "hold"}
        assert subject.count <= MOST
        assert begun - len(ended) == subject.count

    subject.clear()

    assert len(set(map(id, ended))) == len(ended) == begun
    assert repr(subject) == "<OpenSequences 0 of m, 0 bytes>"


def test_a_state_does_not_keep_a_whole_batch_in_memory():
    """A row of a batch is a view; what is held is a copy of the row."""
    subject = OpenSequences("m", idle_s=1, most=2, most_bytes=1 << 20, ended=lambda _: None)
    sequence = subject.begin(("a", "", 1), 0.0)
    batch = np.ones((64, 4), np.float32)

    subject.hold(sequence, [batch[3:4]])

    assert sequence.states is not None
    assert sequence.states[0].base is None
    assert sequence.size == 16
