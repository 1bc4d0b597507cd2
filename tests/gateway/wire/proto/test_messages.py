"""The messages that Edgeway loads are those that its .proto describes, and nobody else's pool knows them."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from grpc_tools import protoc

from gateway.wire.proto import messages

FOLDER = Path(messages.__file__).parent


def compiled(tmp_path: Path) -> descriptor_pb2.FileDescriptorSet:
    out = tmp_path / "out.binpb"
    sources = sorted(path.name for path in FOLDER.glob("*.proto"))
    arguments = ["protoc", f"-I{FOLDER}", "--include_imports", f"--descriptor_set_out={out}", *sources]
    assert protoc.main(arguments) == 0
    return descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())


def test_committed_descriptors_are_the_compiled_proto(tmp_path):
    """Whoever changes the .proto also writes the .binpb anew, as the comment in it says."""
    committed = descriptor_pb2.FileDescriptorSet.FromString((FOLDER / "open_inference.binpb").read_bytes())

    assert committed == compiled(tmp_path)


def test_pool_is_private():
    """Protobuf's process-wide pool does not learn our file, so that tritonclient can register its own."""
    with pytest.raises(KeyError):
        descriptor_pool.Default().FindFileByName("open_inference.proto")

    assert messages.ModelInferRequest.DESCRIPTOR.full_name == "inference.ModelInferRequest"


def test_field_numbers_are_those_of_tritonclient():
    """Every field of ours has the number, type and label that tritonclient's messages give it."""
    from tritonclient.grpc import model_config_pb2, service_pb2

    known = {
        **service_pb2.DESCRIPTOR.message_types_by_name,
        **model_config_pb2.DESCRIPTOR.message_types_by_name,
    }
    # Theirs have one pair of empty messages, or of lists that are always empty here, for each kind of memory.
    ours = {
        "SharedMemoryStatusRequest",
        "SharedMemoryStatusResponse",
        "SharedMemoryRequest",
        "SharedMemoryResponse",
    }

    def fields(descriptor):
        own = {
            (descriptor.full_name, field.number, field.name, field.type, field.is_repeated)
            for field in descriptor.fields
        }
        return own.union(*(fields(nested) for nested in descriptor.nested_types))

    for descriptor in messages.ModelInferRequest.DESCRIPTOR.file.message_types_by_name.values():
        if descriptor.name not in ours:
            assert fields(descriptor) <= fields(known[descriptor.name]), descriptor.name


def test_whole_messages_of_inference():
    """What requests and answers consist of is complete: a field that is not known would be lost."""
    from tritonclient.grpc import service_pb2

    for name in ("ModelInferRequest", "ModelInferResponse", "InferParameter", "ModelInferResponse"):
        ours, theirs = (
            pool.message_types_by_name[name]
            for pool in (messages.ModelInferRequest.DESCRIPTOR.file, service_pb2.DESCRIPTOR)
        )
        assert {f.number for f in ours.fields} == {f.number for f in theirs.fields}
