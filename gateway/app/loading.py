"""What a generation is made of, read from disk: the policy, the models' certificates, the TLS certificates.

All of it is read and checked in a thread and handed to the builder as one value, so that nothing in force
changes before everything is known to be good.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

from edge_models.certificate import MAX_BYTES
from edge_models.files import FileError, read_within
from gateway.app.certificates import Certificates
from gateway.app.collector import held_off
from gateway.app.endpoint_files import EndpointError, EndpointFiles
from gateway.app.endpoints import Prebuilt
from gateway.app.models import Models
from gateway.app.switching import switching_often
from gateway.config.document import ConfigError
from gateway.config.policy_file import parse_policy, read_file
from gateway.http.client.small_file import OwnFileError, read_small
from gateway.http.server.tls import LoadedTls, Tls, TlsError
from routing.matching import Routes
from routing.policy import Policy
from routing.rules.order import Rivals, rivals

_LOG: Final = logging.getLogger("edgeway")


@dataclass(frozen=True, slots=True)
class Contents:
    """What the files contain, to see whether they changed.

    ``text``: of the policy file; empty where ``error`` says why it cannot be read. ``others``: a digest of
    the models' certificates and the TLS files; empty: they were not read.
    """

    text: bytes = b""
    others: bytes = b""
    error: ConfigError | None = None


@dataclass(frozen=True, slots=True)
class Loaded:
    """The parts of a generation to come.

    ``text``: the policy file as it was read. ``certificates``: of the models that were named.
    ``forget``: what licences have learned about the central tier is forgotten (an operator says that it
    serves the right model again). ``rivals``: who can replace whom; None: it is not known yet. ``prebuilt``:
    members of endpoints that are made already. ``matching``: the routes, as requests find them; None: they
    are not made ready yet.
    """

    policy: Policy
    text: bytes
    certificates: Certificates
    forget: bool = False
    rivals: Rivals | None = None
    prebuilt: Prebuilt = field(default_factory=dict)
    matching: Routes | None = None


@dataclass(frozen=True, slots=True)
class Sources:
    """The files of one process that can be loaded again while it serves.

    ``models``, ``tls``: None: none. ``endpoints``: what the policy's endpoints need; None: not looked at.
    """

    file: Path
    region: str
    models: Models | None = None
    tls: Tls | None = None
    endpoints: EndpointFiles | None = None

    def contents(self, models: Iterable[str], *, others: bool = True) -> Contents:
        """Read the policy file and, with ``others``, what else belongs to it; it blocks: call it in a thread.

        ``models``: those whose certificates belong to it.
        """
        digest = self._digest(models) if others else b""
        try:
            return Contents(read_file(self.file), digest)
        except ConfigError as error:
            return Contents(b"", digest, error)

    def model_names(self) -> frozenset[str]:
        """Return the models whose certificates are to be read; call it on the event loop."""
        return self.models.names() if self.models is not None else frozenset()

    def load(self, contents: Contents, models: Iterable[str], *, forget: bool = False) -> Loaded:
        """Check the policy in ``contents`` and read what belongs to it; it blocks, so call it in a thread.

        ``forget``: give every model's certificate another chance.

        Raises:
            ConfigError: the policy may not come into force here.
        """
        if contents.error is not None:
            raise contents.error
        with held_off(), switching_often():
            policy = parse_policy(self.file, contents.text, self.region)
            # Here, because of thousands of routes it takes longer than the loop may be held.
            found = rivals(policy, self.region)
            matching = Routes(policy)
        self._check_endpoints(policy)
        certificates = self.models.read_certificates(models) if self.models is not None else {}
        return Loaded(policy, contents.text, certificates, forget, found, matching=matching)

    def _check_endpoints(self, policy: Policy) -> None:
        if self.endpoints is None:
            return
        try:
            self.endpoints.check(policy.endpoints)
        except EndpointError as error:
            raise ConfigError(self.file, str(error), field=f"endpoints.{error.endpoint}") from None

    def read_tls(self) -> LoadedTls | TlsError | None:
        """Read the TLS certificates, or return why they cannot be used; None: none are new. It blocks."""
        try:
            return self.tls.read() if self.tls is not None else None
        except TlsError as error:
            return error

    def _digest(self, models: Iterable[str]) -> bytes:
        certificates = self.models.certificate_files(models) if self.models is not None else ()
        contents = [_content(file) for file in certificates]
        if self.tls is not None:
            contents += [_tls_content(Path(file)) for file in self.tls.files]
        if self.endpoints is not None:
            contents += [_endpoint_content(file) for file in self.endpoints.paths]
        digest = sha256()
        for content in contents:
            digest.update(sha256(content).digest())
        return digest.digest()


def _content(file: Path) -> bytes:
    try:
        return read_within(file.parent, file, max_bytes=MAX_BYTES)
    except (OSError, FileError):
        return b""


def _tls_content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


def _endpoint_content(file: str) -> bytes:
    try:
        return read_small(file)
    except OwnFileError:
        return b""


def use_tls(tls: Tls | None, loaded: LoadedTls | None) -> None:
    """Use the TLS certificates ``loaded``, if there are new ones, for the connections to come."""
    if tls is not None and loaded is not None:
        tls.use(loaded)
        _LOG.info("new TLS certificates are in use")
