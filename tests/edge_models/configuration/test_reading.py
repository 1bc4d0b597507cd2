"""Every field that is obeyed is read, and what is no configuration is refused with its place."""

from __future__ import annotations

import os

import pytest

from edge_models.configuration.model_configuration import (
    ALL_VERSIONS,
    ConfiguredBatching,
    ConfiguredInput,
    ConfiguredInstances,
    ConfiguredOutput,
    ConfiguredQueue,
    VersionPolicy,
    WarmupInput,
    WarmupRequest,
)
from edge_models.configuration.reading import MOST_BYTES, parse_json, parse_text, read_configuration
from edge_models.errors import ModelError

TEXT = b"""
name: "Digits.V2"
platform: "onnxruntime_onnx"
backend: "onnxruntime"
max_batch_size: 8
version_policy: { specific { versions: [ 1, 3 ] } }
input [
  { name: "x" data_type: TYPE_FP32 dims: [ 1, 28, 28 ] format: FORMAT_NCHW reshape { shape: [ 784 ] } },
  { name: "text" data_type: TYPE_STRING dims: [ -1 ] optional: true }
]
output { name: "y" data_type: TYPE_INT64 dims: 10 label_filename: "labels.txt" reshape { shape: [] } }
default_model_filename: "net.onnx"
dynamic_batching {
  preferred_batch_size: [ 4, 8 ]
  max_queue_delay_microseconds: 100
  preserve_ordering: true
  priority_levels: 2
  default_priority_level: 2
  default_queue_policy { timeout_action: DELAY default_timeout_microseconds: 5 max_queue_size: 7 }
  priority_queue_policy { key: 1 value { allow_timeout_override: true } }
}
instance_group [ { count: 2 kind: KIND_CPU }, { name: "g" kind: KIND_GPU gpus: [ 0, 1 ] } ]
response_cache { enable: true }
model_warmup {
  name: "first" batch_size: 4
  inputs { key: "x" value { data_type: TYPE_FP32 dims: [ 1, 28, 28 ] random_data: true } }
  inputs { key: "text" value { data_type: TYPE_STRING dims: 1 input_data_file: "text.bin" } }
}
parameters { key: "intra_op_thread_count" value { string_value: "2" } }
model_transaction_policy { decoupled: true }
"""


def test_all_that_is_obeyed_is_read():
    read = parse_text(TEXT)
    assert (read.name, read.platform, read.backend) == ("Digits.V2", "onnxruntime_onnx", "onnxruntime")
    assert read.max_batch_size == 8
    assert read.version_policy == VersionPolicy(None, (1, 3))
    assert read.inputs == (
        ConfiguredInput("x", "FP32", (1, 28, 28), (784,), "FORMAT_NCHW"),
        ConfiguredInput("text", "BYTES", (-1,), None, optional=True),
    )
    assert read.outputs == (ConfiguredOutput("y", "INT64", (10,), (), "labels.txt"),)
    assert read.default_model_filename == "net.onnx"
    assert read.dynamic_batching == ConfiguredBatching(
        (4, 8),
        100,
        preserve_ordering=True,
        priority_levels=2,
        default_priority_level=2,
        default_queue_policy=ConfiguredQueue("DELAY", 5, max_queue_size=7),
        priority_queue_policy={1: ConfiguredQueue(allow_timeout_override=True)},
    )
    assert read.instance_group == (
        ConfiguredInstances("", 2, "KIND_CPU"),
        ConfiguredInstances("g", 0, "KIND_GPU", (0, 1)),
    )
    assert read.response_cache is True
    assert read.model_warmup == (
        WarmupRequest(
            "first",
            4,
            1,
            {
                "text": WarmupInput("BYTES", (1,), "input_data_file", "text.bin"),
                "x": WarmupInput("FP32", (1, 28, 28), "random_data"),
            },
        ),
    )
    assert read.parameters == {"intra_op_thread_count": "2"}
    assert read.decoupled
    assert read.sequence_batching is None


def test_sequences_are_handed_on_as_they_are():
    read = parse_text(b'sequence_batching { oldest { } control_input { name: "START" } }')
    assert read.sequence_batching.WhichOneof("strategy_choice") == "oldest"
    assert read.dynamic_batching is None


def test_an_empty_file_has_the_defaults():
    read = parse_text(b"")
    assert read.version_policy == VersionPolicy(1)
    assert (read.max_batch_size, read.dynamic_batching, read.inputs) == (0, None, ())
    assert parse_text(b"version_policy { all { } }").version_policy == ALL_VERSIONS
    assert parse_text(b"version_policy { latest { } }").version_policy == VersionPolicy(1)
    assert parse_text(b"version_policy { latest { num_versions: 2 } }").version_policy == VersionPolicy(2)
    assert parse_text(b"dynamic_batching { }").dynamic_batching == ConfiguredBatching()


def test_json_says_the_same_as_text():
    read = parse_json(
        '{"name": "m", "max_batch_size": 4, "input": [{"name": "x", "data_type": "TYPE_FP32", "dims": ["-1"]}],'
        ' "parameters": {"a": {"string_value": "b"}}, "dynamicBatching": {}}'
    )
    assert (read.name, read.max_batch_size, read.parameters) == ("m", 4, {"a": "b"})
    assert read.inputs == (ConfiguredInput("x", "FP32", (-1,)),)
    assert read.dynamic_batching == ConfiguredBatching()


@pytest.mark.parametrize(
    ("content", "place", "words"),
    [
        (b'name: "a"\nmax_batchsize: 8', ":2:", "max_batchsize"),
        (b'name: "a"\n\n  max_batch_size: "8"', ":3:", "integer"),
        (b'name: "a"\nname: "b"', ":2:", "multiple"),
        (b"max_batch_size: 99999999999", ":1:", "range"),
        (b"input {\n data_type: TYPE_FP31 }", ":2:", "TYPE_FP31"),
        (b"input {\n name: 'a'", ":2:", ""),
        (b'name: "a\n"', ":1:", ""),
        (b'name: "a"\n# \xff\n', ":2:", "save it as UTF-8"),
        ('name: "a"'.encode("utf-16"), ":1:", "save it as UTF-8"),
        ('name: "a"'.encode("utf-16-be"), ":1:", "save it as UTF-8"),
        (b"dynamic_batching { } sequence_batching { }", ":1:", "oneof"),
        (b"\x00\x01\x02", "", ""),
        (b"input " + b"{" * 10_000, ":1:", ""),
        (b"input " + b"[" * 10_000, ":1:", ""),
        (b"name: " + b"'a' " * 10 + b"\x01" * 10_000, "", ""),
        (b"x" * 100_000, ":1:", "x"),
        (b"[type.googleapis.com/inference.ModelConfig] { }", ":1:", ""),
    ],
)
def test_what_is_no_configuration_is_refused_with_its_place(content, place, words):
    with pytest.raises(ModelError) as refused:
        parse_text(content)
    text = str(refused.value)
    assert text.startswith(f"config.pbtxt{place}")
    assert words in text
    assert len(text) < 600
    assert text.isprintable()


@pytest.mark.parametrize("ends", [b"\n", b"\r\n"])
def test_a_file_of_another_editor(ends):
    """With a byte order mark, and other ends of lines; lines are counted as ever."""
    content = b"\xef\xbb\xbfname: 'a'" + ends + b"max_batch_size: 4" + ends

    assert parse_text(content).message == parse_text(content[3:]).message
    with pytest.raises(ModelError, match=r"^config\.pbtxt:3:1: .*nonsense"):
        parse_text(content + b"nonsense: 1")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "1",
        '{"nam": "a"}',
        '{"max_batch_size": 1.5}',
        '{"input": 7}',
        '{"dynamic_batching": {}, "sequence_batching": {}}',
        "[" * 100_000,
        '{"name": ' * 5000,
        '{"name": "' + "a" * MOST_BYTES + '"}',
        b"\xff\xfe{",
    ],
)
def test_what_is_no_json_of_a_configuration_is_refused(content):
    with pytest.raises(ModelError, match=r"^config: ") as refused:
        parse_json(content)
    assert len(str(refused.value)) < 600


def test_the_file_is_read_where_it_is_one(tmp_path):
    folder = tmp_path / "digits"
    folder.mkdir()
    assert read_configuration(tmp_path, folder) is None
    (folder / "config.pbtxt").write_bytes(TEXT)
    assert read_configuration(tmp_path, folder).name == "Digits.V2"
    (folder / "config.pbtxt").write_bytes(b"\nnonsense: 1")
    with pytest.raises(ModelError, match=r"/digits/config\.pbtxt:2:1: .*nonsense"):
        read_configuration(tmp_path, folder)


def test_a_file_that_is_none_is_refused(tmp_path):
    folder = tmp_path / "digits"
    folder.mkdir()
    path = folder / "config.pbtxt"
    os.mkfifo(path)
    with pytest.raises(ModelError, match="a named pipe"):
        read_configuration(tmp_path, folder)
    path.unlink()
    path.symlink_to("/etc/passwd")
    with pytest.raises(ModelError, match="leads out"):
        read_configuration(tmp_path, folder)
    path.unlink()
    path.write_bytes(b"# " + b"a" * MOST_BYTES)
    with pytest.raises(ModelError, match="no more than 262,144 bytes are read"):
        read_configuration(tmp_path, folder)


@pytest.mark.parametrize(
    ("text", "response_cache"),
    [
        ("", None),
        ("response_cache { }", False),
        ("response_cache { enable: false }", False),
        ("response_cache: { enable: true }", True),
    ],
)
def test_that_a_response_cache_is_there_matters(text, response_cache):
    assert parse_text(text.encode()).response_cache is response_cache
