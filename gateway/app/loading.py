"""What a generation is made of, read from disk: the policy, the models' certificates, the TLS certificates.

All of it is read and checked in one thread and handed to the builder as one value, so that nothing in force
changes before everything is known to be good.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.app.certificates import Certificates
from gateway.app.models import Models
from gateway.config.policy_file import parse_policy, read_text
from gateway.http.server.tls import LoadedTls, Tls
from routing.policy import Policy

_LOG: Final = logging.getLogger("edgeway")


@dataclass(frozen=True, slots=True)
class Loaded:
    """The parts of a generation to come.

    ``text``: the policy file as it was read. ``certificates``: of the models that were named.
    ``tls``: None: the TLS certificates in use stay. ``forget``: what licences have learned about the central
    tier is forgotten (an operator says that it serves the right model again).
    """

    policy: Policy
    text: bytes
    certificates: Certificates
    tls: LoadedTls | None = None
    forget: bool = False


@dataclass(frozen=True, slots=True)
class Sources:
    """The files of one process that can be loaded again while it serves. ``models``, ``tls``: None: none."""

    file: Path
    region: str
    models: Models | None = None
    tls: Tls | None = None

    def text(self) -> bytes:
        """Return the content of the policy file.

        Raises:
            ConfigError: it cannot be read.
        """
        return read_text(self.file)

    def model_names(self) -> frozenset[str]:
        """Return the models whose certificates are to be read; call it on the event loop."""
        return self.models.names() if self.models is not None else frozenset()

    def load(self, text: bytes, models: Iterable[str], *, everything: bool) -> Loaded:
        """Check the policy in ``text`` and read what belongs to it; it blocks, so call it in a thread.

        ``everything``: with the TLS certificates, and with another chance for every certificate.

        Raises:
            ConfigError: the policy may not come into force here.
            TlsError: a TLS certificate cannot be used.
        """
        policy = parse_policy(self.file, text, self.region)
        certificates = self.models.read_certificates(models) if self.models is not None else {}
        tls = self.tls.read() if self.tls is not None and everything else None
        return Loaded(policy, text, certificates, tls, forget=everything)

    def use_tls(self, loaded: Loaded) -> None:
        """Accept the connections to come with the TLS certificates of ``loaded``, which is in force."""
        use_tls(self.tls, loaded.tls)


def use_tls(tls: Tls | None, loaded: LoadedTls | None) -> None:
    """Use the TLS certificates ``loaded``, if there are new ones, for the connections to come."""
    if tls is not None and loaded is not None:
        tls.use(loaded)
        _LOG.info("new certificates are in use")
