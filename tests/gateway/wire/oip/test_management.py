"""The bodies of the extensions around models."""

from __future__ import annotations

import pytest

from gateway.core.errors import Fault, GatewayError
from gateway.wire.oip.management import (
    decode_index,
    decode_log_settings,
    decode_model_parameters,
    decode_trace_settings,
)

DECODERS = [decode_index, decode_model_parameters, decode_log_settings, decode_trace_settings]


@pytest.mark.parametrize("decode", DECODERS)
@pytest.mark.parametrize("body", [b"", b" \r\n", b"{}", b"null", b" null "])
def test_an_empty_body_is_an_empty_object(decode, body):
    """Many clients send nothing where nothing has to be said."""
    assert not decode(body)


@pytest.mark.parametrize("decode", DECODERS)
@pytest.mark.parametrize("body", [b"{", b"[]", b"1"])
def test_what_is_no_object_is_refused(decode, body):
    """The message is for the client."""
    with pytest.raises(GatewayError, match=r"protocol|parse") as caught:
        decode(body)

    assert caught.value.fault is Fault.INVALID


def test_members_that_are_null_are_absent():
    """Clients whose messages are objects of classes write each of their fields."""
    assert decode_index(b'{"ready":null,"repository_name":null}') is False
    assert decode_model_parameters(b'{"parameters":null}') == {}
    assert decode_model_parameters(b'{"parameters":{"unload_dependents":null,"config":"{}"}}') == {
        "config": "{}"
    }
    assert decode_log_settings(b'{"log_info":null}') == {"log_info": None}


def test_values():
    """What each body holds."""
    assert decode_index(b'{"ready":true}') is True
    assert decode_index(b'{"ready":false,"other":1}') is False
    assert decode_model_parameters(b'{"parameters":{"unload_dependents":true,"config":"{}"}}') == {
        "unload_dependents": True,
        "config": "{}",
    }
    assert decode_log_settings(b'{"log_info":true,"log_verbose_level":1}') == {
        "log_info": True,
        "log_verbose_level": 1,
    }


def test_a_single_trace_value_becomes_a_list():
    """Null goes through: it means the default."""
    body = b'{"trace_level":["TIMESTAMPS"],"trace_rate":5,"log_frequency":"0","trace_count":null}'

    assert decode_trace_settings(body) == {
        "trace_level": ["TIMESTAMPS"],
        "trace_rate": ["5"],
        "log_frequency": ["0"],
        "trace_count": None,
    }


@pytest.mark.parametrize("body", [b'{"trace_rate":1.5}', b'{"trace_level":[1]}', b'{"trace_rate":{}}'])
def test_other_trace_values_are_refused(body):
    """Settings are text, lists of it, or whole numbers."""
    with pytest.raises(GatewayError, match="protocol"):
        decode_trace_settings(body)
