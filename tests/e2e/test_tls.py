"""`edgeway serve` behind TLS: clients of every kind, and new certificates at SIGHUP."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
import tritonclient.grpc as triton_grpc

from tests.fakes.certificates import Authority, Issued
from tests.fakes.served import BODY, INFER, Served

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The settings' folder."""
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def ca(folder: Path) -> Authority:
    """Who signs the gateway's certificates."""
    return Authority(folder)


def install(folder: Path, issued: Issued) -> None:
    shutil.copy(issued.certificate, folder / "server.pem")
    shutil.copy(issued.key, folder / "server.key")


@pytest.fixture(scope="module")
def served(folder: Path, ca: Authority) -> Iterator[Served]:
    """A gateway that speaks TLS only."""
    install(folder, ca.issue("localhost"))
    with Served(folder, listen="tls: {certificate: server.pem, key: server.key}") as made:
        made.wait_ready()
        yield made


def shown(served: Served, ca: Authority) -> str:
    """The fingerprint of the certificate that a client sees."""
    pem = ssl.get_server_certificate(("127.0.0.1", served.http), ca_certs=str(ca.root), timeout=50)
    return fingerprint(pem)


def fingerprint(pem: str) -> str:
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed on this machine")
@pytest.mark.parametrize(("option", "version"), [("--http1.1", "1.1"), ("--http2", "2")])
def test_curl(served: Served, ca: Authority, option: str, version: str) -> None:
    """HTTPS speaks the version that ALPN agrees on."""
    (served.folder / "body.json").write_bytes(BODY)
    url = f"https://localhost:{served.http}{INFER}"
    ask = ["curl", "-s", option, "--cacert", str(ca.root), "-d", f"@{served.folder / 'body.json'}", url]

    done = subprocess.run([*ask, "-w", "\n%{http_version}"], capture_output=True, check=True)
    answer, _, spoken = done.stdout.decode().rpartition("\n")

    assert spoken == version
    assert json.loads(answer)["outputs"][0]["shape"] == [1, 10]


def test_grpc_secure_channel(served: Served, ca: Authority) -> None:
    """An unmodified gRPC client needs the root, and nothing else; without it, it stays outside."""
    options = {"ssl": True, "root_certificates": str(ca.root)}
    with triton_grpc.InferenceServerClient(f"localhost:{served.grpc}", **options) as client:
        assert client.get_model_metadata("digits").name == "digits"

    with grpc.secure_channel(f"localhost:{served.grpc}", grpc.ssl_channel_credentials()) as stranger:
        with pytest.raises(grpc.FutureTimeoutError):
            grpc.channel_ready_future(stranger).result(0.5)


def test_clear_text_is_no_way_in(served: Served) -> None:
    """Where TLS is on there is nothing without it."""
    assert served.get(served.http, "/v2/health/live") == (0, "")


def test_sighup_takes_new_certificates(served: Served, ca: Authority) -> None:
    """New ones are shown to the next connection; broken ones are not, and the log names the file. Once mended
    they are taken without another signal."""
    new = ca.issue("localhost")
    before = shown(served, ca)

    install(served.folder, new)
    served.signal(signal.SIGHUP)
    served.wait_log("new TLS certificates are in use")
    after = shown(served, ca)

    (served.folder / "server.pem").write_text("nonsense")
    served.signal(signal.SIGHUP)
    served.wait_log("the TLS certificates were not taken, the old ones stay: ")

    assert before != after == fingerprint(new.certificate.read_text())
    assert shown(served, ca) == after
    assert "server.pem" in served.log().rpartition("the old ones stay: ")[2]
    mended = ca.issue("localhost")
    install(served.folder, mended)
    served.wait_log("new TLS certificates are in use", times=2)
    assert shown(served, ca) == fingerprint(mended.certificate.read_text())


def test_start_without_usable_certificate(tmp_path: Path) -> None:
    """Exit code 2, and the file is named."""
    with Served(tmp_path, listen="tls: {certificate: absent.pem, key: absent.key}") as made:
        assert made.wait_exit() == 2

    assert "listen.tls" in made.log()
    assert "absent.pem" in made.log()
    assert "Traceback" not in made.log()
