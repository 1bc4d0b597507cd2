"""The files that a policy names: where they lie is said from the folder of the policy's own file."""

from __future__ import annotations

from pathlib import Path

import msgspec

from routing.endpoint import Credential, Endpoint, EndpointTls
from routing.policy import Policy


def with_absolute_files(policy: Policy, folder: Path) -> Policy:
    """Return ``policy`` with the files of its endpoints as absolute paths."""
    endpoints = {name: _absolute(endpoint, folder) for name, endpoint in policy.endpoints.items()}
    if all(endpoints[name] is endpoint for name, endpoint in policy.endpoints.items()):
        return policy
    return msgspec.structs.replace(policy, endpoints=endpoints)


def _absolute(endpoint: Endpoint, folder: Path) -> Endpoint:
    if endpoint.tls is None and endpoint.credential is None:
        return endpoint
    return msgspec.structs.replace(
        endpoint, tls=_tls(endpoint.tls, folder), credential=_credential(endpoint.credential, folder)
    )


def _tls(tls: EndpointTls | None, folder: Path) -> EndpointTls | None:
    if tls is None:
        return None
    return msgspec.structs.replace(
        tls,
        ca=tls.ca and str(folder / tls.ca),
        certificate=tls.certificate and str(folder / tls.certificate),
        key=tls.key and str(folder / tls.key),
    )


def _credential(credential: Credential | None, folder: Path) -> Credential | None:
    if credential is None or credential.file is None:
        return credential
    return msgspec.structs.replace(credential, file=str(folder / credential.file))
