"""The documents whose rules are checked, under short names; a clause is a document and a section."""

from __future__ import annotations

from typing import Final

REST: Final = "OIP REST"
GRPC: Final = "OIP gRPC"
HTTP: Final = "RFC 9110"
HTTP1: Final = "RFC 9112"
URI: Final = "RFC 3986"

DOCUMENTS: Final = {
    REST: "github.com/kserve/open-inference-protocol: specification/protocol/inference_rest.md",
    GRPC: "github.com/kserve/open-inference-protocol: specification/protocol/inference_grpc.md",
    "Triton …": "github.com/triton-inference-server/server: docs/protocol/extension_….md",
    "KServe V2": "github.com/kserve/kserve: docs/predict-api/v2/required_api.md (tensor data of JSON)",
    "gRPC": "github.com/grpc/grpc: doc/PROTOCOL-HTTP2.md, doc/statuscodes.md, doc/compression.md",
    "gRPC health": "github.com/grpc/grpc: doc/health-checking.md",
    "gRPC reflection": "github.com/grpc/grpc: doc/server-reflection.md",
    HTTP: "HTTP Semantics",
    HTTP1: "HTTP/1.1",
    URI: "Uniform Resource Identifier: Generic Syntax",
    "Edgeway": "docs/operating.md of this project (its own headers; unsupported elsewhere)",
}

REST_HEALTH: Final = f"{REST}, Server Live / Server Ready"
REST_SERVER: Final = f"{REST}, Server Metadata Response JSON Object"
REST_MODEL: Final = f"{REST}, Model Metadata Response JSON Object"
REST_READY: Final = f"{REST}, Model Ready"
REST_REQUEST: Final = f"{REST}, Inference Request JSON Object"
REST_INPUT: Final = f"{REST}, Request Input"
REST_OUTPUT: Final = f"{REST}, Request Output"
REST_RESPONSE: Final = f"{REST}, Inference Response JSON Object"
REST_ERROR: Final = f"{REST}, Inference Response JSON Error Object"
REST_MODEL_ERROR: Final = f"{REST}, Model Metadata Response JSON Error Object"
REST_DATA: Final = "KServe V2, Tensor Data"
REST_DATATYPES: Final = "KServe V2, Tensor Data Types"

GRPC_HEALTH: Final = f"{GRPC}, Health"
GRPC_SERVER: Final = f"{GRPC}, Server Metadata"
GRPC_MODEL: Final = f"{GRPC}, Model Metadata"
GRPC_INFER: Final = f"{GRPC}, Inference"
GRPC_DATA: Final = f"{GRPC}, Tensor Data"
GRPC_CODES: Final = "gRPC, Status codes and their use"

BINARY: Final = "Triton binary tensor data extension"
CLASSIFICATION: Final = "Triton classification extension"
SEQUENCE: Final = "Triton sequence extension"
SCHEDULE: Final = "Triton schedule policy extension"
PARAMETERS: Final = "Triton parameters extension"
STATISTICS: Final = "Triton statistics extension"
REPOSITORY: Final = "Triton model repository extension"
CONFIGURATION: Final = "Triton model configuration extension"
GENERATE: Final = "Triton generate extension"
LOGGING: Final = "Triton logging extension"
TRACE: Final = "Triton trace extension"
SHARED_MEMORY: Final = "Triton shared memory extension"
EDGEWAY: Final = "Edgeway, docs/operating.md, What an answer says"
STREAMING: Final = "Triton protocol, ModelStreamInfer"
