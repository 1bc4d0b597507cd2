"""What a certificate allows the edge model to answer by itself, and when it is suspended."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, Protocol

import numpy as np

from edge_models.decision import Decision
from edge_models.inputs import Seen
from gateway.core.request import CENTRAL, Request, Response
from gateway.core.telemetry import CertificateRefused, Telemetry
from gateway.core.tensor import BYTES, Array

PATIENCE: Final = 100
"""Answers in a row by others that the route names, after which the certified artefact is taken for gone.

Of twenty replicas the only certified one would be silent for so long once in two hundred times.
"""

QUIET_S: Final = 10.0

_log = logging.getLogger(__name__)
_NO_TEXT: Final = np.zeros(1, np.uint8)


class Artefacts(NamedTuple):
    """The artefacts that a certificate is about, by digest; empty: not checked.

    ``listed``: other central artefacts that the route names. One of them is a replica beside the certified
    one: it suspends nothing before it, or another of them, has answered ``PATIENCE`` times in a row.
    """

    edge: str = ""
    central: str = ""
    listed: frozenset[str] = frozenset()


UNCHECKED: Final = Artefacts()


class Permission(Protocol):
    """What an edge model may answer by itself, as a stack needs to know it; ``Licence`` is one."""

    def proof(self) -> str:
        """Return what answers under this permission are kept by."""
        ...

    def reason(self) -> str:
        """Return why the edge answers nothing by itself; empty: it does."""
        ...

    def is_valid(self, version: str = "") -> bool:
        """Whether any answer to requests for ``version`` (empty: none named) may be covered."""
        ...

    def served(self, names: tuple[str, ...]) -> tuple[str, ...] | None:
        """Return the outputs of a certified answer to a request that names ``names``; None: there is none."""
        ...

    def classifies(self, classes: Mapping[str, int]) -> bool:
        """Whether the certificate speaks for what is shown of each output."""
        ...

    def fits(self, request: Request) -> bool:
        """Whether the request is of the kind that the certificate was measured on."""
        ...

    def covers(self, answer: Response) -> bool:
        """Whether the edge's answer may be given."""
        ...

    def compare(self, answer: Response, version: str) -> None:
        """Look at what central answered to a request for ``version``."""
        ...

    def differs(self, edge: Response, central: Response) -> bool:
        """Whether they say something else, as the certificate's tasks have it."""
        ...


class Licence:
    """The edge model's licence to answer for one model.

    It learns at run time which artefact central serves, so it has to outlive the stacks that use it:
    it is kept for as long as the digests stay the same. It is suspended while central
    answers with another artefact than the certificate's, and holds again once that one answers.

    Args:
        model: name of the model.
        decision: what the certificate speaks for; None when there is no certificate.
        threshold: least confidence with which the edge answers; None when there is no valid certificate.
        telemetry: gets every refusal and suspension, once.
        seen: the inputs for which the certificate was measured; None: the model takes no others.
        refusal: the certificate's field that differed, or another word why ``threshold`` is None.
        artefacts: those that the certificate is about.
        proof: names the certificate (its digest); empty without one.
        changed: called after each suspension and its end.
        now: seconds of a monotonic clock. Where two artefacts answer in turn, each change is counted, and one
            in ``QUIET_S`` is logged.
    """

    def __init__(
        self,
        model: str,
        *,
        decision: Decision | None,
        threshold: float | None,
        telemetry: Telemetry,
        seen: Seen | None = None,
        refusal: str = "missing",
        artefacts: Artefacts = UNCHECKED,
        proof: str = "",
        changed: Callable[[], None] = lambda: None,
        now: Callable[[], float],
    ) -> None:
        self._model = model
        self._decision = decision
        self._names = decision.names() if decision else ()
        self._classes = decision.classes() if decision else frozenset()
        self._read = decision.read() if decision else frozenset()
        self._threshold = threshold if decision else None
        self._telemetry = telemetry
        self._seen = seen
        self._refusal = refusal if self._threshold is None else ""
        self._edge_digest, self._central_digest, self._listed = artefacts
        self._suspended: set[str] = set()
        self._confirmed: set[str] = set()
        self._others: dict[str, int] = {}
        self._unnamed = ""
        self._certificate, self._proof = proof, proof
        self._changed, self._now = changed, now
        self._logged_at: dict[str, float] = {}
        if self._threshold is None:
            self._refuse(refusal, "")

    def __repr__(self) -> str:
        if self._threshold is None:
            return f"<Licence {self._model} refused>"
        suspended = f" suspended for version {sorted(self._suspended)}" if self._suspended else ""
        return f"<Licence {self._model} from {self._threshold}{suspended}>"

    def proof(self) -> str:
        """Return the part of cache keys that names the certificate; another value while it is suspended."""
        return self._proof

    def reason(self) -> str:
        """Return why the edge answers nothing by itself; empty: it does.

        A client that names a version of central's that is not certified makes no difference, as long
        as the certified artefact answers others.
        """
        is_gone = self._suspended and not self._confirmed
        return self._refusal or ("central_digest" if is_gone else "")

    def is_valid(self, version: str = "") -> bool:
        """Whether any answer to requests for ``version`` (empty: none named) may be covered."""
        return self._threshold is not None and version not in self._suspended

    def served(self, names: tuple[str, ...]) -> tuple[str, ...] | None:
        """Return the outputs of a certified answer to a request that names ``names``; None: there is none.

        A request that names no outputs gets all that central gives, which are those that decide, unless some
        were left out.
        """
        if names:
            return names if set(self._names).issuperset(names) else None
        return None if self._decision is None or self._decision.left_out else self._names

    def classifies(self, classes: Mapping[str, int]) -> bool:
        """Whether the certificate speaks for what is shown of each output: its likeliest class, if at all."""
        return all(count == 1 and name in self._classes for name, count in classes.items())

    def fits(self, request: Request) -> bool:
        """Whether the request is of the kind that the certificate was measured on."""
        return self._seen is None or self._seen.fits(request)

    def covers(self, answer: Response) -> bool:
        """Whether every row of the edge's answer, by every output that decides, reaches the threshold."""
        if self._threshold is None or (self._edge_digest and answer.provenance.digest != self._edge_digest):
            return False
        outputs: dict[str, Array] = {}
        missing = len(self._read)
        for output in answer.outputs:
            if output.name in self._read:
                missing -= 1
                # Text is compared, but has no score: it is not decoded.
                outputs[output.name] = _NO_TEXT if output.datatype == BYTES else output.numpy()
        if missing or self._decision is None:
            return False
        return self._decision.is_sure(outputs, self._threshold)

    def compare(self, answer: Response, version: str) -> None:
        """Look at what central answered to a request for ``version``: is it the certified artefact?

        Kept by requested version: two versions at central are two models, and a client that names the
        older one must not end the licence for all others.
        """
        source = answer.provenance
        if (
            self._threshold is None
            or source.origin != CENTRAL
            or not source.digest
            or not self._central_digest
        ):
            return
        # A request without a version and one with the version that answered get the same artefact.
        versions = {version, answer.version} if answer.version else {version}
        if not version:
            self._unnamed = answer.version
        elif version == self._unnamed:
            versions.add("")
        if source.digest == self._central_digest:
            self._others.pop(version, None)
            self._confirmed |= versions
            if not self._suspended.isdisjoint(versions):
                self._suspended -= versions
                self._log_change("holds again: central answers as certified", version)
                self._adopt()
            return
        others = self._others[version] = self._others.get(version, 0) + 1
        if not versions <= self._suspended and (source.digest not in self._listed or others >= PATIENCE):
            self._suspended |= versions
            self._confirmed -= versions
            self._refuse("central_digest", version, until=" until central answers as certified")
            self._adopt()

    def differs(self, edge: Response, central: Response) -> bool:
        """Whether they say something else, as the certificate's tasks have it.

        What cannot be compared, for an output is missing or of another shape, differs.
        """
        ours, theirs = (
            {output.name: output.numpy() for output in answer.outputs if output.name in self._names}
            for answer in (edge, central)
        )
        if self._decision is None or len(ours) < len(self._names) or ours.keys() != theirs.keys():
            return True
        if any(ours[name].shape != theirs[name].shape for name in ours):
            return True
        return bool(self._decision.differs(ours, theirs).any())

    def _adopt(self) -> None:
        # Cache keys hold the proof: what was kept under the certificate is found again once it holds again.
        self._proof = (
            f"{self._certificate} suspended for {sorted(self._suspended)}"
            if self._suspended
            else self._certificate
        )
        self._changed()

    def _refuse(self, field: str, version: str, until: str = "") -> None:
        self._log_change(f"refused ({field}): every request is deferred{until}", version)
        self._telemetry.emit(CertificateRefused(self._model, field))

    def _log_change(self, change: str, version: str) -> None:
        now = self._now()
        if now - self._logged_at.get(change, -QUIET_S) < QUIET_S:
            return
        self._logged_at[change] = now
        which = f"'{self._model}' version {version}" if version else f"'{self._model}'"
        _log.warning("certificate of model %s %s", which, change)


_: type[Permission] = Licence
