"""Classes are made by the endpoint where it has labels for an output: it alone has their names."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from gateway.core.classes import CLASSIFICATION, classified
from gateway.core.request import Parameter, Request, Response
from gateway.core.service import Filter, Pending, Service
from gateway.upstreams.answer_configs import AnswerConfigs


class EndpointClasses:
    """Passes on to the endpoint how many classes are wanted of outputs that it has labels for.

    Those of all other outputs are made here, as the client is answered. Requests without classes pass by.
    """

    def __init__(self, configs: AnswerConfigs) -> None:
        self._configs = configs

    def __repr__(self) -> str:
        return f"<EndpointClasses by {self._configs!r}>"

    def __call__(self, request: Request, service: Service) -> Response | Pending:
        """Answer as the endpoint does."""
        return self._classified(request, service) if request.classes else service(request)

    async def _classified(self, request: Request, service: Service) -> Response:
        labelled = (await self._configs.wait(request.model)).labelled
        wanted = {name: count for name, count in request.classes.items() if count and name in labelled}
        if not wanted:
            return await service(request)
        response = await service(replace(request, output_parameters=_with(request, wanted)))
        outputs = [
            classified(output, wanted[output.name]) if output.name in wanted else output
            for output in response.outputs
        ]
        return replace(response, outputs=tuple(outputs))


def _with(request: Request, wanted: Mapping[str, int]) -> dict[str, dict[str, Parameter]]:
    """Return the parameters of outputs, with those that ask for classes."""
    found = {name: dict(parameters) for name, parameters in request.output_parameters.items()}
    for name, count in wanted.items():
        found[name] = {**found.get(name, {}), CLASSIFICATION: count}
    return found


_: type[Filter] = EndpointClasses
