"""The settings of one process."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from gateway.config.addresses import host_and_port
from gateway.config.document import ConfigError
from gateway.config.settings import load_settings

EDGE = "role: edge\nregion: eu-west\npolicy: policy.yaml\n"
CENTRAL = "role: central\nregion: us-east\nmodels: {repository: models}\n"


NO_TOKEN = sha256(b"").hexdigest()


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    return file


def test_defaults_are_tritons_ports_on_loopback(tmp_path: Path) -> None:
    """Three lines are enough, and nothing listens to the world unasked."""
    settings = load_settings(write(tmp_path, EDGE), {})

    assert settings.listen.http == "127.0.0.1:8000"
    assert settings.listen.grpc == "127.0.0.1:8001"
    assert settings.trusted_proxies == ()
    assert settings.telemetry.otlp_endpoint is None


def test_relative_paths_start_at_the_file(tmp_path: Path) -> None:
    """A gateway may be started from any folder."""
    text = EDGE + "models: {repository: m, certificates: c}\ngeo: {database: /data/geo.mmdb}\n"

    settings = load_settings(write(tmp_path, text), {})

    assert settings.policy == str(tmp_path / "policy.yaml")
    assert settings.models.repository == str(tmp_path / "m")
    assert settings.models.certificates == str(tmp_path / "c")
    assert settings.geo.database == "/data/geo.mmdb"


def test_files_of_warm_failover_lie_in_the_folder_too(tmp_path: Path) -> None:
    """Its certificates, and whom it trusts."""
    warming = "{listen: '127.0.0.1:1', ca: ca.pem, tls: {certificate: c.pem, key: /data/k.pem}}"
    text = EDGE + f"cache: {{key_secret: {'ab' * 32}, warming: {warming}}}\n"

    found = load_settings(write(tmp_path, text), {}).cache.warming

    assert (found.ca, found.tls.certificate) == (str(tmp_path / "ca.pem"), str(tmp_path / "c.pem"))
    assert found.tls.key == "/data/k.pem"


def test_several_geo_databases_lie_in_the_folder_too(tmp_path: Path) -> None:
    """Each path of the list; an empty list is none."""
    settings = load_settings(write(tmp_path, EDGE + "geo: {database: [a.mmdb, /data/b.mmdb]}\n"), {})

    assert settings.geo is not None
    assert settings.geo.databases == (str(tmp_path / "a.mmdb"), "/data/b.mmdb")
    with pytest.raises(ConfigError, match=r"geo\.database"):
        load_settings(write(tmp_path, EDGE + "geo: {database: []}\n"), {})


def test_environment_fills_in(tmp_path: Path) -> None:
    """Addresses and secrets come from the environment where the file says so."""
    text = EDGE + "cache: {redis: {url: '${REDIS_URL}'}, key_secret: '${SECRET}'}\n"
    environment = {"REDIS_URL": "redis://cache:6379/0", "SECRET": "ab" * 32}

    settings = load_settings(write(tmp_path, text), environment)

    assert settings.cache.redis.url == "redis://cache:6379/0"


def test_a_redis_elsewhere_without_a_secret_is_refused_where_it_stands(tmp_path: Path) -> None:
    """Before any worker starts: the file, the line, why, and how to make one."""
    text = EDGE + "cache: {redis: {url: 'redis://:hunter2@cache:6379/0'}}\n"

    with pytest.raises(
        ConfigError, match=r"settings.yaml:\d+:\d+: cache: key_secret is missing.*openssl"
    ) as caught:
        load_settings(write(tmp_path, text), {})

    assert "hunter2" not in str(caught.value)


def test_process_environment_is_the_default(tmp_path: Path, monkeypatch) -> None:
    """Without a mapping the process's own environment is read."""
    monkeypatch.setenv("EDGEWAY_TEST_REGION", "here")

    assert load_settings(write(tmp_path, EDGE.replace("eu-west", "${EDGEWAY_TEST_REGION}"))).region == "here"


@pytest.mark.parametrize(
    "access", [f"tokens_sha256: [{'a' * 64}]", "token_file: t", "tls: {certificate: a, key: b, client_ca: c}"]
)
def test_admin_port_for_others_needs_a_lock(tmp_path: Path, access: str) -> None:
    """A token or a client's certificate, whose files are named from the settings' folder."""
    text = EDGE + f"listen: {{admin: '0.0.0.0:8002', admin_access: {{{access}}}}}\n"

    found = load_settings(write(tmp_path, text), {}).listen.admin_access

    assert found.is_restricted
    assert found.token_file in {None, str(tmp_path / "t")}
    assert found.tls is None or found.tls.client_ca == str(tmp_path / "c")


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (EDGE + "listen: {http: 'localhost'}\n", 4, "is not HOST:PORT"),
        (EDGE + "listen: {http: ['a:1', 'localhost']}\n", 4, "'localhost' is not HOST:PORT"),
        (EDGE + "listen: {grpc: []}\n", 4, "the list is empty"),
        (EDGE + "listen: {http: ['a:1', 'A:1']}\n", 4, "a with port 1 is listed twice"),
        (EDGE + "listen: {http: ['[::1]:1', '[0:0::1]:1']}\n", 4, "::1 with port 1 is listed twice"),
        (EDGE + "listen: {http: ['0.0.0.0:1', '[::]:1']}\n", 4, "takes all addresses, IPv4 as well"),
        (EDGE + "listen:\n  admin: '1.2.3.4:99999'\n", 5, "is not HOST:PORT"),
        (EDGE + "listen: {admin: []}\n", 4, "the list is empty"),
        (
            EDGE + "listen:\n  admin: ['a:1', 'b:1']\n  http: 'B:1'\n",
            5,
            "b with port 1 is listed in listen.http",
        ),
        (EDGE + "listen: {http: '0.0.0.0:8002'}\n", 4, "0.0.0.0:8002 takes all IPv4 addresses"),
        (EDGE + "listen: {http: null, grpc: null}\n", 4, "nobody could ask anything"),
        (EDGE + f"listen: {{admin_access: {{tokens_sha256: [{NO_TOKEN}]}}}}\n", 4, "the hash of no token"),
        (EDGE + "listen: {admin_access: {tokens_sha256: [the-token]}}\n", 4, "64 hexadecimal digits"),
        ("role: edge\nregion: x\n", 1, "an edge needs a policy"),
        ("role: central\nregion: x\n", 1, "a central tier needs models"),
        (CENTRAL + "policy: p.yaml\n", 4, "has no use for this"),
        (CENTRAL + "cache: {}\n", 4, "has no use for this"),
        (EDGE + "trusted_proxies: [10.0.0.0/8, 10.0.0.1/8]\n", 4, "has host bits set"),
        (EDGE + "trusted_gateways: [ten]\n", 4, "it is no network"),
        (EDGE + "listne: {}\n", 4, "did you mean `listen`"),
        (EDGE + "cache: {memory: {max_bytes: 5}}\n", 4, "must be at least 1,048,576"),
        (EDGE + "telemetry: {otlp_endpoint: 'http://host:banana'}\n", 4, "does not match"),
        ("role: core\nregion: x\n", 1, "expected one of central, edge, and here is 'core'"),
    ],
)
def test_mistakes_are_named_with_their_line(tmp_path: Path, text: str, line: int, message: str) -> None:
    """Every wrong setting ends the start with its line and what was expected."""
    with pytest.raises(ConfigError) as caught:
        load_settings(write(tmp_path, text), {})

    assert caught.value.line == line
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("address", "expected"),
    [("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:8000", ("::1", 8000)), ("host:0", ("host", 0))],
)
def test_addresses_are_split(address: str, expected: tuple[str, int]) -> None:
    """Brackets belong to the notation, not to the host."""
    assert host_and_port(address) == expected


def test_lists_of_addresses(tmp_path: Path) -> None:
    """Each address has a name; several may leave the port to the machine."""
    text = EDGE + "listen: {http: ['127.0.0.1:0', '127.0.0.1:0', '[::1]:9'], grpc: '127.0.0.1:9'}\n"

    assert load_settings(write(tmp_path, text), {}).listen.client_addresses() == {
        "http": "127.0.0.1:0",
        "http[1]": "127.0.0.1:0",
        "http[2]": "[::1]:9",
        "grpc": "127.0.0.1:9",
    }


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("cache: {}\ninvalidation: {redis: {her: 'redis://h'}}\n", "own region has no log"),
        ("invalidation: {redis: {here: 'redis://h'}}\n", "nothing is kept here"),
    ],
)
def test_a_log_that_nobody_could_use_is_refused(tmp_path: Path, more: str, message: str) -> None:
    """One of other regions alone, and one of a gateway that keeps nothing."""
    file = tmp_path / "settings.yaml"
    file.write_text(f"role: edge\nregion: here\npolicy: policy.yaml\n{more}")

    with pytest.raises(ConfigError, match=message):
        load_settings(file, {})
