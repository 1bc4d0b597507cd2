"""Provenance inside the answer, for clients that hide headers.

tritonclient and the KServe SDK show neither response headers nor trailing metadata. A client that
sends the request parameter ``edgeway_provenance: true`` finds the same facts among the parameters of
the response, where the protocol has a place for them.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from gateway.core.request import Parameter, Request, Response
from gateway.core.service import FastPath, Filter, FindPath, PassesFastPath, Pending, Service

WANTED: Final = "edgeway_provenance"


class ProvenanceParameters:
    """Adds to an answer the facts of its headers, where the request wants them.

    The wish goes no further than this filter: it changes nothing about what is computed or cached.
    """

    def __init__(self, region: str, generation: int) -> None:
        self._region, self._generation = region, generation

    def __repr__(self) -> str:
        return f"<ProvenanceParameters {self._region}, generation {self._generation}>"

    def __call__(self, request: Request, service: Service) -> Response | Pending:
        """Answer, with the provenance among the parameters if the request wants it."""
        if not request.parameters or WANTED not in request.parameters:
            return service(request)
        return self._add(request, service)

    def fast_path(self, like: Request, rest: FindPath) -> FastPath | None:
        """Return the path of the rest, for requests that do not want it."""
        return None if WANTED in like.parameters else rest(like)

    async def _add(self, request: Request, service: Service) -> Response:
        parameters = dict(request.parameters)
        is_wanted = parameters.pop(WANTED) is True
        response = await service(replace(request, parameters=parameters))
        if not is_wanted:
            return response
        provenance = response.provenance
        facts: dict[str, Parameter] = {
            "edgeway_served_by": self._region,
            "edgeway_provenance": provenance.label,
            "edgeway_origin": provenance.origin,
            "edgeway_certified": provenance.certified,
            "edgeway_policy_generation": self._generation,
        }
        if provenance.features:
            facts["edgeway_features"] = provenance.features
        return replace(response, parameters={**response.parameters, **facts})


_: tuple[type[Filter], type[PassesFastPath]] = (ProvenanceParameters, ProvenanceParameters)
