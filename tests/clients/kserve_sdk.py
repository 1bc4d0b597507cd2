"""Every call of the KServe SDK's two inference clients; run by an environment that has the SDK, not ours.

    python kserve_sdk.py http://127.0.0.1:8000 127.0.0.1:8000

prints what the clients made of the answers, as one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys

import grpc
import httpx
import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput

ARRAYS = {
    "BOOL": np.array([True, False]),
    "UINT8": np.arange(4, dtype=np.uint8),
    "INT64": np.array([[2**62], [-1]]),
    "FP16": np.array([1.5, -2.0], np.float16),
    "FP32": np.array([[1.5, -2.0]], np.float32),
    "FP64": np.array([1e300]),
    "BYTES": np.array([b"a,", b"", b"x" * 300], object),
}


def request(*, binary, but=()):
    inputs, outputs = [], []
    for datatype, array in ARRAYS.items():
        if datatype not in but:
            entry = InferInput(datatype.lower(), list(array.shape), datatype)
            entry.set_data_from_numpy(array, binary_data=binary)
            inputs.append(entry)
            outputs.append(RequestedOutput(datatype.lower(), {"binary_data": binary}))
    return InferRequest(
        "digits", inputs, request_id="r-7", request_outputs=outputs, parameters={"priority": 1}
    )


def outputs_of(response):
    """The answer, where it is what was sent."""
    same = {}
    for output in response.outputs:
        sent, got = ARRAYS[output.datatype], output.as_numpy()
        if output.datatype == "BYTES":
            got = np.array([item.encode() if isinstance(item, str) else item for item in got], object)
        same[output.name] = got.shape == sent.shape and got.tolist() == sent.tolist()
    return {"id": response.id, "model": response.model_name, "same": same}


async def rest(url):
    client = InferenceRESTClient(RESTConfig(protocol="v2", retries=0, timeout=10))
    seen = {}
    result = {
        "live": await client.is_server_live(url),
        "ready": await client.is_server_ready(url),
        "model ready": await client.is_model_ready(url, "digits"),
        "unknown ready": await client.is_model_ready(url, "unknown"),
        "binary": outputs_of(await client.infer(url, request(binary=True), "digits", response_headers=seen)),
        "JSON": outputs_of(await client.infer(url, request(binary=False, but=["FP16"]), "digits")),
        "served by": seen.get("x-edgeway-served-by"),
    }
    plain = {"inputs": [{"name": "x", "shape": [2], "datatype": "FP32", "data": [1, 2]}]}
    result["dict"] = (await client.infer(url, plain, "digits")).outputs[0].data
    try:
        await client.infer(url, {"inputs": [{**plain["inputs"][0], "shape": [3]}]}, "digits")
    except httpx.HTTPStatusError as error:
        result["error"] = [error.response.status_code, str(error)]
    await client.close()
    return result


async def rpc(target):
    client = InferenceGRPCClient(target, timeout=10, retries=0)
    result = {
        "live": await client.is_server_live(),
        "ready": await client.is_server_ready(),
        "model ready": await client.is_model_ready("digits"),
        "unknown ready": await client.is_model_ready("unknown"),
        "raw": outputs_of(await client.infer(request(binary=True), headers=[("traceparent", "00-1-2-00")])),
        "typed": outputs_of(await client.infer(request(binary=False, but=["FP16"]))),
    }
    wrong = request(binary=True)
    wrong.inputs[0].shape = [3]
    try:
        await client.infer(wrong)
    except grpc.RpcError as error:
        result["error"] = [error.code().name, error.details()]
    await client.close()
    return result


async def main():
    import logging

    logging.disable()  # the SDK logs the error that is asked for
    print(json.dumps({"rest": await rest(sys.argv[1]), "grpc": await rpc(sys.argv[2])}))


if __name__ == "__main__":
    asyncio.run(main())
