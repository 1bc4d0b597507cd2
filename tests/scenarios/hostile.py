"""The hostile corpus: bodies that are made to cost the one who reads them much more than the one who sends them.

Each entry is a name and how its body is built, for REST or for gRPC. New ways go here: ``test_loop_steps.py`` sends
every entry with and without a key, plain and compressed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final, NamedTuple

from gateway.wire.proto import messages

KIB, MIB = 1 << 10, 1 << 20
TEXTS: Final = 1 << 18
PATH: Final = "/v2/models/digits/infer"
GENERATE: Final = "/v2/models/digits/generate"


class Rest(NamedTuple):
    """A POST; ``header_length``: of the JSON before binary data."""

    body: bytes
    header_length: int | None = None
    path: str = PATH


def listed(datatype: str, shape: list[int], data: bytes, more: bytes = b"") -> Rest:
    """One input whose elements are JSON."""
    head = f'"name":"image","datatype":"{datatype}","shape":{json.dumps(shape)}'.encode()
    return Rest(b'{"inputs":[{%b,"data":%b}]%b}' % (head, data, more))


def array(element: bytes, count: int) -> bytes:
    """A JSON list of one element many times."""
    return b"[" + b",".join([element] * count) + b"]"


def binary(*tensors: tuple[str, list[int], int], tail: int = 0, more: str = "") -> Rest:
    """Inputs whose elements are binary zeros: datatype, shape, bytes of each."""
    inputs = ",".join(
        f'{{"name":"image{number or ""}","datatype":"{datatype}","shape":{json.dumps(shape)},'
        f'"parameters":{{"binary_data_size":{size}}}}}'
        for number, (datatype, shape, size) in enumerate(tensors)
    )
    head = f'{{"inputs":[{inputs}]{more}}}'.encode()
    return Rest(head + bytes(sum(size for *_, size in tensors) + tail), len(head))


def fields(**values: bytes) -> Rest:
    """A body with what a client may say beside its inputs."""
    more = b"".join(b',"%b":%b' % (name.encode(), value) for name, value in values.items())
    return listed("FP32", [1, 4], b"[1,2,3,4]", more)


def keys(count: int) -> bytes:
    """A JSON object of so many keys."""
    return b"{" + b",".join(b'"%d":1' % number for number in range(count)) + b"}"


REST: Final[dict[str, Callable[[], Rest]]] = {
    "63 inputs of 262,144 texts": lambda: binary(*[("BYTES", [TEXTS], 4 * TEXTS)] * 62),
    "most texts, in many inputs": lambda: binary(*[("BYTES", [64], 256)] * 1023),
    "most texts, malformed at the end": lambda: binary(("BYTES", [65_536], 4 * 65_536 + 3)),
    "a text that lies about its length": lambda: Rest(
        binary(("BYTES", [65_536], 4 * 65_536)).body[:-1] + b"\xff",
        binary(("BYTES", [65_536], 4 * 65_536)).header_length,
    ),
    "60 MiB of numbers": lambda: binary(("FP32", [1, 15 * MIB], 60 * MIB)),
    "60 MiB of numbers, there and back": lambda: binary(
        ("FP32", [1, 15 * MIB], 60 * MIB), more=',"parameters":{"binary_data_output":true}'
    ),
    "60 MiB of numbers, wrong shape": lambda: binary(("FP32", [1, 15 * MIB - 1], 60 * MIB)),
    "60 MiB without JSON": lambda: Rest(bytes(60 * MIB), 0),
    "a head of 4 MiB before binary data": lambda: binary(
        ("FP32", [1, 4], 16), more="," + " " * 4 * MIB + '"id":""'
    ),
    "100,000 inputs of nothing": lambda: binary(*[("FP32", [0, 4], 0)] * 100_000),
    "1,024 inputs of nothing": lambda: binary(*[("FP32", [0, 4], 0)] * 1024),
    "zeros, 60 KiB": lambda: listed("FP32", [1, 30_720], array(b"0", 30_720)),
    "nested, 60 KiB": lambda: listed("FP32", [15_000, 1], array(b"[0]", 15_000)),
    "texts, 60 KiB": lambda: listed("BYTES", [20_000, 1], array(b'""', 20_000)),
    "zeros, 2 MiB": lambda: listed("FP32", [1, MIB], array(b"0", MIB)),
    "zeros, 4 MiB": lambda: listed("INT8", [2 * MIB - 100], array(b"0", 2 * MIB - 100)),
    "nested as deep as the shape": lambda: listed("INT8", [MIB // 4, 1, 1, 1], array(b"[[[0]]]", MIB // 8)),
    "texts, 3 MiB": lambda: listed("BYTES", [MIB], array(b'""', MIB)),
    "escapes": lambda: listed("BYTES", [1], b'["' + b"\\u0041" * 600_000 + b'"]'),
    "a number of 1,000,000 digits": lambda: listed("FP64", [1], b"[" + b"7" * 1_000_000 + b"]"),
    "an integer of 1,000,000 digits": lambda: listed("INT64", [1], b"[" + b"7" * 1_000_000 + b"]"),
    "numbers of 600 digits": lambda: listed("FP64", [6_000], array(b"0." + b"7" * 600, 6_000)),
    "5,000,000 deep": lambda: Rest(b"[" * 2_500_000 + b"]" * 2_500_000),
    "data 1,000,000 deep": lambda: listed("FP32", [1], b"[" * 1_000_000 + b"1" + b"]" * 1_000_000),
    "an unknown field, deep": lambda: fields(zzz=b"[" * 900 + b"]" * 900),
    "an unknown field, wide": lambda: fields(zzz=array(b"0", 1_900_000)),
    "16,000 parameters": lambda: fields(parameters=keys(16_000)),
    "300,000 parameters": lambda: fields(parameters=keys(300_000)),
    "4,000 parameters": lambda: fields(parameters=keys(4_000)),
    "an id of 3 MiB": lambda: fields(id=b'"' + b"x" * 3 * MIB + b'"'),
    "escapes in the id": lambda: fields(id=b'"' + b'\\":,' * 700_000 + b'"'),
    "1,024 outputs": lambda: fields(outputs=array(b'{"name":"probabilities"}', 1024)),
    "100,000 outputs": lambda: fields(
        outputs=b"[" + b",".join(b'{"name":"%d"}' % number for number in range(100_000)) + b"]"
    ),
    "names of 3 MiB": lambda: fields(outputs=b'[{"name":"' + b"n" * 3 * MIB + b'"}]'),
    "shapes of 1,000,000 dimensions": lambda: listed("FP32", [1] * 1_000_000, b"[1]"),
    "dimensions of 10,000 digits": lambda: Rest(
        b'{"inputs":[{"name":"image","datatype":"FP32","shape":[' + b"9" * 10_000 + b'],"data":[1]}]}'
    ),
    "blanks": lambda: Rest(b" " * 4 * MIB),
    "more JSON than may be": lambda: Rest(b" " * 16 * MIB),
    "no UTF-8": lambda: fields(id=b'"' + b"\xff" * 2 * MIB + b'"'),
    "a JSON answer of 1,048,576 numbers": lambda: binary(("FP32", [1, MIB], 4 * MIB)),
    "a JSON answer of 32,768 numbers": lambda: binary(("FP32", [1, 32_768], 128 * KIB)),
    "classes of 1,048,576 numbers": lambda: binary(
        ("FP32", [1, MIB], 4 * MIB),
        more=',"outputs":[{"name":"probabilities","parameters":{"classification":4}}]',
    ),
    "classes of 32,768 numbers": lambda: binary(
        ("FP32", [1, 32_768], 128 * KIB),
        more=',"outputs":[{"name":"probabilities","parameters":{"classification":4}}]',
    ),
    "generate: zeros": lambda: Rest(b'{"image":%b}' % array(b"0", MIB), path=GENERATE),
    "generate: fields": lambda: Rest(keys(300_000), path=GENERATE),
    "generate: fields of few": lambda: Rest(keys(6_000), path=GENERATE),
    "log settings": lambda: Rest(keys(80_000), path="/v2/logging"),
    "trace settings": lambda: Rest(b'{"trace_level":%b}' % array(b'""', 300_000), path="/v2/trace/setting"),
    "the index of a repository": lambda: Rest(
        b'{"ready":true,"x":%b}' % array(b"0", 500_000), path="/v2/repository/index"
    ),
}


def field(number: int, content: bytes) -> bytes:
    """A field with a length, as protobuf writes it."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    octets = bytearray()
    while number > 0x7F:
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    octets.append(number)
    return bytes(octets)


NAMED: Final = field(1, b"digits")


def raws(*tensors: tuple[str, list[int], int]) -> bytes:
    """Inputs whose elements are raw zeros: datatype, shape, bytes of each."""
    message = messages.ModelInferRequest(model_name="digits")
    for number, (datatype, shape, size) in enumerate(tensors):
        message.inputs.add(name=f"image{number or ''}", datatype=datatype, shape=shape)
        message.raw_input_contents.append(bytes(size))
    written: bytes = message.SerializeToString()
    return written


def typed(datatype: str, name: str, count: int, value: object, inputs: int = 1) -> bytes:
    """Inputs whose elements are typed contents."""
    message = messages.ModelInferRequest(model_name="digits")
    for number in range(inputs):
        entry = message.inputs.add(name=f"image{number or ''}", datatype=datatype, shape=[1, count])
        getattr(entry.contents, name).extend([value] * count)
    written: bytes = message.SerializeToString()
    return written


def classes(count: int) -> bytes:
    """The likeliest of many outputs."""
    message = messages.ModelInferRequest(model_name="digits", raw_input_contents=[bytes(4 * count)])
    message.inputs.add(name="image", datatype="FP32", shape=[1, count])
    message.outputs.add(name="probabilities").parameters["classification"].int64_param = 4
    written: bytes = message.SerializeToString()
    return written


GRPC: Final[dict[str, Callable[[], bytes]]] = {
    "62 inputs of 262,144 texts": lambda: raws(*[("BYTES", [TEXTS], 4 * TEXTS)] * 62),
    "most texts, in many inputs": lambda: raws(*[("BYTES", [64], 256)] * 1023),
    "typed texts": lambda: typed("BYTES", "bytes_contents", TEXTS, b""),
    "most typed texts": lambda: typed("BYTES", "bytes_contents", 65_536, b""),
    "typed texts, many inputs": lambda: typed("BYTES", "bytes_contents", 1024, b"", inputs=600),
    "typed numbers": lambda: typed("FP32", "fp32_contents", MIB, 1.0),
    "typed numbers, 60 KiB": lambda: typed("FP32", "fp32_contents", 15_000, 1.0),
    "typed booleans, 60 KiB": lambda: typed("BOOL", "bool_contents", 60_000, value=True),
    "typed integers, 4 MiB": lambda: typed("INT8", "int_contents", MIB, 1),
    "60 MiB of numbers": lambda: raws(("FP32", [1, 15 * MIB], 60 * MIB)),
    "60 MiB, and a field behind it": lambda: raws(("FP32", [1, 15 * MIB], 60 * MIB)) + field(15, b"x"),
    "empty inputs": lambda: NAMED + b"\x2a\x00" * 500_000,
    "empty inputs, 60 KiB": lambda: NAMED + b"\x2a\x00" * 30_000,
    "as many fields as may be": lambda: NAMED + b"\x2a\x00" * 10_200,
    "empty outputs": lambda: NAMED + b"\x32\x00" * 30_000,
    "empty parameters": lambda: NAMED + b"\x22\x00" * 30_000,
    "parameters": lambda: NAMED + b"".join(field(4, field(1, b"%d" % number)) for number in range(9_000)),
    "empty raw contents": lambda: NAMED + b"\x3a\x00" * 4_000_000,
    "dimensions": lambda: NAMED + field(5, b"\x18\x01" * 2_000_000),
    "packed dimensions": lambda: NAMED + field(5, field(3, b"\1" * 7 * MIB)),
    "packed dimensions, 60 KiB": lambda: NAMED + field(5, field(3, b"\1" * 60_000)),
    "unknown numbers": lambda: NAMED + b"\x78\x01" * 2_000_000,
    "groups": lambda: NAMED + b"\x7b" * 4_000_000,
    "tags without an end": lambda: NAMED + b"\xff" * 4_000_000,
    "a name of 7 MiB": lambda: field(1, b"m" * 7 * MIB),
    "an id of 7 MiB": lambda: NAMED + field(3, b"m" * 7 * MIB),
    "classes of 1,048,576 numbers": lambda: classes(MIB),
    "classes of 32,768 numbers": lambda: classes(32_768),
}
