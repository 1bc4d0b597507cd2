"""Settings of models: defaults are Triton's, nonsense is refused with its path."""

from __future__ import annotations

import msgspec
import pytest

from edge_models.settings import BatchingSettings, ModelsSettings


def decode(**fields: object) -> ModelsSettings:
    return msgspec.convert({"repository": "models", **fields}, ModelsSettings)


def test_defaults_run_on_one_cpu_thread_without_delay():
    """Only the repository must be given."""
    settings = decode()

    assert settings.providers == ("cpu",)
    assert (settings.threads, settings.intra_op_threads, settings.require) == (1, 1, None)
    assert BatchingSettings().max_queue_delay_microseconds == 0
    assert BatchingSettings().inline_max_rows == 0


def test_batching_is_decoded_per_model():
    """Each model may name its own sizes."""
    settings = decode(batching={"digits": {"max_batch_size": 8, "preferred_batch_size": [4, 8]}})

    assert settings.batching["digits"].preferred_batch_size == (4, 8)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"threds": 2}, "threds"),
        ({"threads": 0}, r"\$.threads"),
        ({"max_alpha": -0.1}, r"\$.max_alpha"),
        ({"max_alpha": 0}, r"\$.max_alpha"),
        ({"max_alpha": 1}, r"\$.max_alpha"),
        ({"max_delta": -0.1}, r"\$.max_delta"),
        ({"providers": []}, r"\$.providers"),
        ({"providers": ["tpu"]}, r"\$.providers"),
        ({"require": "cuda"}, "providers must name"),
        ({"batching": {"digits": {"max_batch_size": 0}}}, "max_batch_size"),
        ({"batching": {"digits": {"inline_join": True}}}, "set that, too"),
        ({"batching": {"digits": {"max_queue_size": 0}}}, "max_queue_size"),
        ({"batching": {"digits": {"max_batch_size": 4, "preferred_batch_size": [8]}}}, "must not exceed"),
        ({"batching": {"../digits": {}}}, "batching"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_nonsense_is_refused(fields, message):
    """An unknown field, a number out of range or a contradiction never becomes settings."""
    with pytest.raises(msgspec.ValidationError, match=message):
        decode(**fields)


def test_limits():
    """Per model, with the defaults of the field; what is out of range is refused by name."""
    (name, limits), *_ = decode(limits={"digits": {"max_mem_mib": 64}}).limits.items()

    assert (name, limits.max_mem_mib, limits.max_file_mib) == ("digits", 64, 1024)
    assert (limits.response_timeout_s, limits.startup_timeout_s) == (120, 120)
    for wrong in (
        {"max_mem_mib": 0},
        {"response_timeout_s": 0},
        {"max_file_mib": (1 << 20) + 1},
        {"arena": 1},
    ):
        with pytest.raises(msgspec.ValidationError):
            decode(limits={"digits": wrong})
