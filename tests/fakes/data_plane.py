"""A gateway as a listener sees it, small enough to read: what every listener test puts behind the wire.

Example::

    service = EchoService()
    data_plane = fake_data_plane(service, max_body_bytes=1 << 20)
    wire = Wire(RestApplication(data_plane))

``service`` may be any Service; the generation in force is number 7 unless ``number`` says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from gateway.core.catalog import AllModels, ModelSpec, TensorSpec
from gateway.core.clock import LoopClock
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Caller, Provenance, Request, Response
from gateway.core.service import Service
from gateway.listeners.data_plane import DataPlane
from gateway.wire.trust import Trust
from tests.fakes.telemetry import RecordingTelemetry

DIGITS = ModelSpec(
    "digits",
    ("1",),
    "onnxruntime_onnx",
    (TensorSpec("image", "FP32", (-1, 4)),),
    (TensorSpec("probabilities", "FP32", (-1, 3)),),
)
"""The model of ``tests.fakes.service``."""


class EchoService:
    """Answers every input back as an output of the same name; keeps the requests it saw."""

    def __init__(self, provenance: Provenance | None = None) -> None:
        self.provenance = provenance or Provenance("central", region="eu-west", digest="sha256:00ff")
        self.requests: list[Request] = []

    @property
    def last(self) -> Request:
        """The newest request."""
        return self.requests[-1]

    async def __call__(self, request: Request) -> Response:
        self.requests.append(request)
        tensors = {tensor.name: tensor for tensor in request.inputs}
        wanted = request.outputs or tuple(tensors)
        for name in wanted:
            if name not in tensors:
                raise GatewayError(Fault.INVALID, f"model '{request.model}' has no output '{name}'")
        outputs = tuple(
            replace(tensors[name], data=bytes(tensors[name].data), _array=None) for name in wanted
        )
        return Response(request.model, request.version or "1", outputs, self.provenance)

    def __repr__(self) -> str:
        return f"<EchoService {len(self.requests)} calls>"


class FakeGeneration:
    """A NumberedService of one Service; ``identify`` leaves callers as they are unless one is given."""

    def __init__(
        self,
        service: Service,
        number: int = 7,
        identify: Callable[[Caller], Caller] = lambda caller: caller,
    ) -> None:
        self.service, self._identify = service, identify
        self._number = number

    @property
    def number(self) -> int:
        return self._number

    @property
    def serial(self) -> int:
        return self._number

    @property
    def routed_headers(self) -> frozenset[str]:
        return frozenset()

    def identify(self, caller: Caller) -> Caller:
        return self._identify(caller)

    async def __call__(self, request: Request) -> Response:
        return await self.service(request)

    def __repr__(self) -> str:
        return f"<FakeGeneration {self._number} {self.service!r}>"


class FakeCatalog:
    """Knows the models it is given; ``unready`` names those that would not be served now."""

    def __init__(self, *models: ModelSpec, unready: frozenset[str] = frozenset()) -> None:
        self.models = {model.name: model for model in models or (DIGITS,)}
        self.unready = unready
        self.described: list[tuple[str, str]] = []

    async def describe(self, model: str, version: str) -> ModelSpec:
        self.described.append((model, version))
        spec = self.models.get(model)
        if spec is None or (version and version not in spec.versions):
            raise GatewayError(Fault.NOT_FOUND, f"model '{model}' is not known here")
        return spec

    async def is_ready(self, model: str, version: str) -> bool:
        return (await self.describe(model, version)).name not in self.unready


def fake_data_plane(service: Service, *, number: int = 7, **changes: Any) -> DataPlane:
    """A DataPlane before ``service``: region eu-west, ready, loopback is a trusted gateway.

    ``changes`` replace fields of DataPlane; ``ready=False`` is short for ``is_ready=lambda: False``, and
    ``identify`` is the generation's.
    """
    generation = FakeGeneration(service, number, changes.pop("identify", lambda caller: caller))
    if "ready" in changes:
        ready = changes.pop("ready")
        changes["is_ready"] = lambda: ready
    fields: dict[str, Any] = {
        "region": "eu-west",
        "generation": lambda: generation,
        "catalogs": AllModels(changes.pop("catalog", None) or FakeCatalog()),
        "is_ready": lambda: True,
        "trust": Trust(gateways=["127.0.0.0/8", "::1/128"]),
        "clock": LoopClock(),
        "telemetry": RecordingTelemetry(),
    }
    return DataPlane(**{**fields, **changes})
