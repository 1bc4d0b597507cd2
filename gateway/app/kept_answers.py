"""What a further cache level gives is compared with the request and with the model before it is believed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway.app.parts import RouteEdgeModel
from gateway.core.answer_check import flaw, has_rows, is_finite, misfit
from gateway.core.catalog import ModelSpec
from gateway.core.request import EDGE, Request, Response


class KeptAnswerCheck:
    """Says whether an answer that was kept elsewhere can be one of this route.

    Once per answer that comes into this process: what its own memory holds has passed here, or was computed.

    Args:
        signatures: returns what the endpoints of the route say of a model and version, as far as it is known;
            None while they are asked for the first time.
        edge: the edge model of the route.
        is_signed: whether nobody else can write answers there. Where anybody can, none is believed of a model
            of which nothing is known yet.
    """

    def __init__(
        self,
        signatures: Callable[[str, str], Sequence[ModelSpec] | None],
        edge: RouteEdgeModel | None,
        *,
        is_signed: bool,
    ) -> None:
        self._signatures, self._edge, self._is_signed = signatures, edge, is_signed

    def __repr__(self) -> str:
        return f"<KeptAnswerCheck{f' by {self._edge.model}' if self._edge else ''}>"

    def __call__(self, request: Request, response: Response) -> bool:
        """Whether ``response`` answers ``request``, is the model's, and holds what a certificate needs."""
        names = tuple([output.name for output in response.outputs])
        if response.model != request.model or misfit(response, request):
            return False
        if len(set(names)) < len(names) or (request.outputs and names != request.outputs):
            return False
        return not self._is_flawed(response, request) and self._is_of_the_edge(response, request)

    def _is_flawed(self, response: Response, request: Request) -> bool:
        is_selected = bool(request.outputs)
        if self._edge is not None and response.provenance.origin == EDGE:
            # Without outputs in the request it still may have fewer: those of the certificate.
            return bool(flaw(response, self._edge.spec, selected=True))
        # Where no endpoint has said anything yet, the edge model's signature is the best guess at central's.
        guess = self._edge.spec if self._edge else None
        known = self._signatures(request.model, request.version)
        if known is None and guess is None and not self._is_signed:
            return True
        specs = known or (guess,)
        return all(flaw(response, spec, selected=is_selected) for spec in specs)

    def _is_of_the_edge(self, response: Response, request: Request) -> bool:
        """Whether it is as the certificate's premises have it, where there is one that is in force."""
        edge = self._edge
        if edge is None or not response.provenance.certified or not edge.licence.is_valid(request.version):
            return True
        expected = edge.licence.served(request.outputs)
        names = {output.name for output in response.outputs}
        if expected is not None and names != set(expected):
            return False
        if edge.is_batched and edge.spec and not has_rows(response, request, edge.spec):
            return False
        return is_finite(response.outputs)
