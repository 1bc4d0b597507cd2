"""What grpcurl does, with Google's own reflection client: run by an environment that has it, not ours.

    python reflection_tool.py 127.0.0.1:8000

knows no definition but those that the server tells; prints what came of it as one line of JSON.
"""

from __future__ import annotations

import json
import struct
import sys

import grpc
from google.protobuf import json_format
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase


def main():
    with grpc.insecure_channel(sys.argv[1]) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        pool = DescriptorPool(database)
        services = {
            name: [
                [method.name, method.client_streaming, method.server_streaming]
                for method in pool.FindServiceByName(name).methods
            ]
            for name in database.get_services()
        }

        def call(service, method, fields):
            found = pool.FindMethodByName(f"{service}.{method}")
            kind, answer = GetMessageClass(found.input_type), GetMessageClass(found.output_type)
            message = json_format.ParseDict(fields, kind(), descriptor_pool=pool)
            invoke = channel.unary_unary(
                f"/{service}/{method}",
                request_serializer=kind.SerializeToString,
                response_deserializer=answer.FromString,
            )
            reply = invoke(message, timeout=10)
            return reply, json_format.MessageToDict(reply, descriptor_pool=pool)

        image = {"name": "x", "datatype": "FP32", "shape": [2], "contents": {"fp32Contents": [1.5, -2]}}
        fields = {
            "modelName": "digits",
            "id": "r-1",
            "inputs": [image],
            "parameters": {"priority": {"int64Param": 1}},
        }
        inferred, _ = call("inference.GRPCInferenceService", "ModelInfer", fields)
        result = {
            "services": services,
            "id": inferred.id,
            "x": struct.unpack("<2f", inferred.raw_output_contents[0]),
            "health": call("grpc.health.v1.Health", "Check", {})[1],
            "metadata": call("inference.GRPCInferenceService", "ModelMetadata", {"name": "digits"})[1],
        }
        try:
            call("inference.GRPCInferenceService", "ModelMetadata", {"name": "unknown"})
        except grpc.RpcError as error:
            result["error"] = error.code().name
    print(json.dumps(result))


if __name__ == "__main__":
    main()
