"""Files that a policy names."""

from __future__ import annotations

from pathlib import Path

from gateway.config.endpoint_files import with_absolute_files
from gateway.config.policy_file import parse_policy
from routing.endpoint import Credential, EndpointTls
from tests.gateway.policies import GOOD, write_policy

FILES = (
    "tls: {ca: ca.pem, certificate: /run/edge.pem, key: /run/edge.key}, credential: {file: tokens/central}, "
)


def test_they_lie_in_the_folder_of_the_policy(tmp_path: Path) -> None:
    """Unless their paths are absolute; what names none stays the very same."""
    file = write_policy(tmp_path, GOOD.replace("tier: central, ", "tier: central, " + FILES))
    endpoint = parse_policy(file, file.read_bytes()).endpoints["central"]
    assert endpoint.tls == EndpointTls(
        ca=str(tmp_path / "ca.pem"), certificate="/run/edge.pem", key="/run/edge.key"
    )
    assert endpoint.credential == Credential(file=str(tmp_path / "tokens/central"))

    plain = parse_policy(write_policy(tmp_path), GOOD.encode())
    assert with_absolute_files(plain, tmp_path) is plain
    variable = GOOD.replace("tier: central, ", "tier: central, credential: {env: TOKEN}, ")
    assert parse_policy(file, variable.encode()).endpoints["central"].credential == Credential(env="TOKEN")
