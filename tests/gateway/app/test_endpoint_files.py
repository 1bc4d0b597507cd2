"""What endpoints need of this machine: read before the policy comes into force, and only once."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from gateway.app.endpoint_files import EndpointError, EndpointFiles
from gateway.app.loading import Sources
from gateway.config.document import ConfigError
from routing.endpoint import Credential, EndpointTls
from tests.fakes.certificates import Authority, Issued
from tests.fakes.tls import endpoint_of
from tests.gateway.policies import GOOD, write_policy


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the files are."""
    return tmp_path_factory.mktemp("ca")


@pytest.fixture(scope="module")
def ca(folder: Path) -> Authority:
    """Who signs them."""
    return Authority(folder)


@pytest.fixture(scope="module")
def ours(ca: Authority) -> Issued:
    """What this gateway shows."""
    return ca.issue("edge")


def files(**environment: str) -> EndpointFiles:
    return EndpointFiles(lambda name: environment.get(name, ""))


def test_members_share_what_they_have_in_common(ca: Authority, ours: Issued) -> None:
    """One context and one credential, for as long as a policy names them."""
    tls = EndpointTls(ca=str(ca.root), certificate=str(ours.certificate), key=str(ours.key))
    one = endpoint_of("grpc", 1, tls, credential=Credential(env="A"))
    two = endpoint_of("grpc", 2, tls, credential=Credential(env="A"))
    other = endpoint_of("http", 2, tls)
    found = files(A="abcd")
    found.check({"one": one, "two": two, "other": other})

    assert found.tls("one", one) is found.tls("two", two)
    assert found.tls("one", one) is not found.tls("other", other)
    assert found.credential("one", one) is found.credential("two", two)
    assert found.credential("other", other) is None
    assert found.paths == tuple(sorted(map(str, (ca.root, ours.certificate, ours.key))))
    kept = found.tls("other", other)
    found.check({"one": one})
    assert found.tls("other", other) is not kept
    assert "1 credentials" in repr(found)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"tls": EndpointTls(ca="missing.pem")}, "tls: missing.pem: cannot be read: No such file"),
        ({"tls": EndpointTls(ca="KEY")}, "holds no certificate"),
        ({"tls": EndpointTls(certificate="CERTIFICATE")}, "holds no whole private key"),
        ({"tls": EndpointTls(certificate="CERTIFICATE", key="OTHER")}, "is not the key of the certificate"),
        ({"tls": EndpointTls(certificate="CERTIFICATE", key="LOCKED")}, "protected by a password"),
        ({"tls": EndpointTls(certificate="CERTIFICATE", key="BROKEN")}, "cannot be used together"),
        ({"tls": EndpointTls(ca="JUNK")}, "holds a certificate that cannot be read"),
        ({"tls": EndpointTls(key="KEY")}, "tls.key: is of no use"),
        ({"tls": EndpointTls(server_name="a..b")}, "tls.server_name"),
        ({"tls": EndpointTls(alpn=("http/1.1",))}, "tls.alpn: 'http/1.1' is another protocol"),
        ({"tls": EndpointTls(alpn=("x" * 256,))}, "is no name of a protocol"),
        ({"credential": Credential(file="missing")}, "credential: missing: cannot be read"),
        ({"credential": Credential(env="NONE")}, "credential: environment variable NONE: holds nothing"),
        ({"credential": Credential()}, "either `file` or `env`"),
        ({"credential": Credential(env="A", file="b")}, "either `file` or `env`"),
        ({"credential": Credential(env="A", header="host")}, "credential.header"),
        ({"host": "a/b"}, "host: 'a/b'"),
        ({"headers": {"cookie": "a"}}, "headers.cookie"),
    ],
)
def test_what_cannot_be_used_is_named(ca, ours, tmp_path, fields: dict[str, Any], says: str) -> None:
    """With its endpoint and its field, and without what is secret."""
    secret = ours.key.read_text().splitlines()[1]
    other = ca.issue("other").key
    locked, broken, junk = tmp_path / "locked.key", tmp_path / "broken.key", tmp_path / "junk.pem"
    command = ["openssl", "pkey", "-in", ours.key, "-aes128", "-passout", "pass:abcd", "-out", locked]
    subprocess.run(command, check=True, capture_output=True)
    broken.write_text(ours.key.read_text().replace(secret, secret[::-1]))
    junk.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    names = {"KEY": ours.key, "CERTIFICATE": ours.certificate, "OTHER": other, "LOCKED": locked}
    names |= {"BROKEN": broken, "JUNK": junk}
    if (tls := fields.get("tls")) is not None:
        given = {each: getattr(tls, each) for each in ("ca", "certificate", "key")}
        replaced = {each: str(names.get(name, name)) if name else None for each, name in given.items()}
        fields = {"tls": EndpointTls(**replaced, server_name=tls.server_name, alpn=tls.alpn)}

    with pytest.raises(EndpointError) as caught:
        files(A="abcd").check({"far": endpoint_of("grpc", 1, fields.pop("tls", None), **fields)})

    assert caught.value.endpoint == "far"
    assert says in str(caught.value)
    assert secret[:16] not in str(caught.value)
    assert "abcd" not in str(caught.value)


async def test_what_is_in_use_is_no_reason_to_refuse_a_policy(ca: Authority, tmp_path: Path) -> None:
    """A file that is half written just now: the last that was good stays in use, and the policy is taken."""
    copy = tmp_path / "ca.pem"
    copy.write_bytes(ca.root.read_bytes())
    endpoint, found = endpoint_of("grpc", 1, EndpointTls(ca=str(copy))), files()
    found.check({"far": endpoint})
    copy.write_bytes(b"-----BEGIN")
    found.check({"far": endpoint})
    with pytest.raises(EndpointError):
        files().check({"far": endpoint})


def test_a_policy_that_cannot_be_obeyed_is_refused(ca: Authority, tmp_path: Path) -> None:
    """Its error names the file and the field; when the file is there, the content has changed."""
    text = GOOD.replace("tier: central, ", "tier: central, tls: {ca: ca.pem}, ")
    sources = Sources(write_policy(tmp_path, text), "here", endpoints=files())
    before = sources.contents(())
    with pytest.raises(
        ConfigError, match=r"policy\.yaml: endpoints\.central: tls: .*ca\.pem: cannot be read"
    ):
        sources.load(before, ())
    missing = sources.contents(())
    (tmp_path / "ca.pem").write_bytes(ca.root.read_bytes())
    there = sources.contents(())
    assert there.others != missing.others
    assert sources.load(there, ()).policy.generation == 1
