"""The files of compose/: they load, they agree with each other, and they are not stale."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest
import yaml

from edge_models.samples import digits
from gateway.config.addresses import host_and_port
from gateway.config.document import ConfigError
from gateway.config.policy_file import read_policy
from gateway.config.settings import Settings, load_settings
from routing.policy import Policy

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "compose"
DOCKERFILE = (COMPOSE / "Dockerfile").read_text()
CERTIFICATES = "/var/lib/edgeway/certificates"
REGIONS = ("eu-west", "us-east", "ap-south")
MADE = "5a" * 32


def services() -> dict[str, dict]:
    """The services as Docker sees them: variables that nobody set take their defaults."""
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", (COMPOSE / "compose.yaml").read_text())
    return yaml.safe_load(text)["services"]


SERVICES = services()
GATEWAYS = (*REGIONS, "central")


def settings_path(service: dict) -> str:
    """What the container is told to serve: its own command, else the image's."""
    image = re.search(r'^CMD \["serve", "([^"]+)"\]$', DOCKERFILE, re.MULTILINE)
    assert image
    return service["command"][1] if "command" in service else image[1]


def on_host(path: str, service: dict) -> Path | None:
    """Where a path of the container lies in the repository; None for the named volume."""
    for volume in service["volumes"]:
        source, target = volume.split(":")[:2]
        if PurePosixPath(path).is_relative_to(target):
            return (
                COMPOSE / source / PurePosixPath(path).relative_to(target) if source.startswith(".") else None
            )
    raise AssertionError(f"{path} is not mounted")


def settings_of(name: str) -> Settings:
    service = SERVICES[name]
    file = on_host(settings_path(service), service)
    assert file is not None
    environment = service.get("environment", {})
    if "CACHE_SECRET" in environment:
        # Nobody set it: `certify` has made one, and the entrypoint has read it.
        environment = {**environment, "CACHE_SECRET": environment["CACHE_SECRET"] or MADE}
    return load_settings(file, environment)


@pytest.fixture
def policy() -> Policy:
    return read_policy(COMPOSE / "policy.yaml")[0]


def test_policy_has_nothing_to_complain_about() -> None:
    """The policy validates without errors and without warnings."""
    _, findings, _ = read_policy(COMPOSE / "policy.yaml")

    assert not findings


def test_policy_names_the_central_artefact_that_is_committed(policy: Policy) -> None:
    """The digest is that of the file that central serves."""
    (route,) = policy.routes
    file = digits.model_path(digits.CENTRAL_REPOSITORY)

    assert route.match.model == digits.MODEL
    assert route.digest == f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"


def test_policy_explains_its_keys(policy: Policy) -> None:
    """The key that a comment tells is the one whose hash is there."""
    key = re.search(r"The key is (\S+)\.$", (COMPOSE / "policy.yaml").read_text(), re.MULTILINE)

    assert key
    assert policy.tenants["acme"].keys_sha256 == (hashlib.sha256(key[1].encode()).hexdigest(),)


@pytest.mark.parametrize("name", GATEWAYS)
def test_settings_load(name: str) -> None:
    """Settings are good with the environment that compose.yaml gives, and with nothing else."""
    settings = settings_of(name)

    assert settings.role == ("central" if name == "central" else "edge")
    assert name in {settings.region, "central"}


def test_edge_settings_need_their_environment() -> None:
    """A gateway that is not told its region does not start as another one."""
    with pytest.raises(ConfigError, match="REGION is not set"):
        load_settings(COMPOSE / "edge.yaml", {})


@pytest.mark.parametrize("name", GATEWAYS)
def test_paths_exist_in_the_container(name: str) -> None:
    """What settings name is mounted from the repository, or is the volume that `certify` fills."""
    service = SERVICES[name]
    settings = settings_of(name)
    assert settings.models
    repository = on_host(settings.models.repository, service)
    assert repository is not None
    assert (repository / digits.MODEL / digits.VERSION / "model.onnx").is_file()

    if settings.role == "edge":
        # Relative to the settings file, which lies in the repository here and in the mount there.
        assert Path(settings.policy or "") == COMPOSE / "policy.yaml"
        assert settings.models.certificates == CERTIFICATES
        assert on_host(CERTIFICATES, service) is None


def test_certify_reads_the_served_models_and_writes_where_they_are_read() -> None:
    """The one-shot service names the artefacts of both tiers and the edges' folder of certificates."""
    service = SERVICES["certify"]
    (script,) = service["command"]
    options = dict(re.findall(r"--(edge|central|out) (\S+)", script))

    for tier, repository in (("edge", digits.EDGE_REPOSITORY), ("central", digits.CENTRAL_REPOSITORY)):
        file = on_host(options[tier], service)
        assert file is not None
        assert file.resolve() == digits.model_path(repository).resolve()
    assert options["out"] == f"{CERTIFICATES}/{digits.MODEL}.json"
    assert f"--owner edgeway {CERTIFICATES}" in DOCKERFILE
    for name in REGIONS:
        assert SERVICES[name]["depends_on"] == {"certify": {"condition": "service_completed_successfully"}}


def run_in(folder: Path, script: str, secret: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script of compose.yaml with ``folder`` in the place of the named volume."""
    environment = {"PATH": f"{folder}:{Path(sys.executable).parent}:/usr/bin:/bin", "CACHE_SECRET": secret}
    script = script.replace("$$", "$").replace(CERTIFICATES, str(folder))
    command = ["sh", "-euc", script, *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=150, check=False)


def made(folder: Path, secret: str) -> str:
    """What ``certify`` says while it makes the secret that nobody set."""
    (script,) = SERVICES["certify"]["command"]
    ended = run_in(folder, script.partition('python -c "\n')[0], secret)
    assert ended.returncode == 0, ended.stderr
    return ended.stderr


def served_with(folder: Path, secret: str) -> str:
    """The secret with which the entrypoint of an edge starts ``edgeway``."""
    (folder / "edgeway").write_text('#!/bin/sh\nprintf "%s" "$CACHE_SECRET $*"\n')
    (folder / "edgeway").chmod(0o755)
    service = SERVICES["eu-west"]
    shell, options, script, *words = service["entrypoint"]
    assert [shell, options] == ["sh", "-euc"]
    ended = run_in(folder, script, secret, *words, *service["command"])
    found, _, command = ended.stdout.partition(" ")
    assert command in {"serve /etc/edgeway/edge.yaml", ""}
    return found


def test_a_cache_secret_that_nobody_set_is_made_once_and_is_nobodys(tmp_path: Path) -> None:
    """Not a published one, not another after a restart, readable by its owner alone, and said aloud."""
    secrets = set()
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        assert "WARNING: CACHE_SECRET is not set" in made(folder, "")
        assert not made(folder, ""), "the second time it is there"
        assert (folder / "cache-secret").stat().st_mode & 0o777 == 0o600
        secrets.add(served_with(folder, ""))

    assert len(secrets) == 2
    assert all(re.fullmatch("[0-9a-f]{64}", secret) for secret in secrets)
    assert not re.search("[0-9a-f]{64}", str({**SERVICES["eu-west"], "environment": None}))
    assert SERVICES["eu-west"]["environment"]["CACHE_SECRET"] == ""


def test_a_cache_secret_that_is_set_is_used(tmp_path: Path) -> None:
    """And none is made; where there is neither, an edge does not start."""
    assert not made(tmp_path, "ab" * 32)
    assert not (tmp_path / "cache-secret").exists()
    assert served_with(tmp_path, "ab" * 32) == "ab" * 32
    assert not served_with(tmp_path, "")


def test_addresses_agree(policy: Policy) -> None:
    """Every address names a service and a port on which it listens, or a Redis."""
    assert tuple(policy.regions) == REGIONS
    for endpoint in policy.endpoints.values():
        host, port = host_and_port(endpoint.address)
        settings = settings_of(host)
        assert (settings.region, settings.role) == (endpoint.region, endpoint.tier)
        assert host_and_port(getattr(settings.listen, endpoint.protocol) or "") == ("0.0.0.0", port)
    for name in REGIONS:
        settings = settings_of(name)
        assert settings.cache
        assert settings.cache.redis
        assert settings.cache.redis.url == f"redis://redis-{name}:6379/0"
        assert f"redis-{name}" in SERVICES


def test_prometheus_scrapes_every_gateway() -> None:
    """Each gateway's admin port is a target, with its region and role."""
    jobs = yaml.safe_load((COMPOSE / "prometheus.yml").read_text())["scrape_configs"]

    found = {
        target: (group["labels"]["region"], group["labels"]["role"])
        for group in jobs[0]["static_configs"]
        for target in group["targets"]
    }

    assert found == {f"{name}:8002": (settings_of(name).region, settings_of(name).role) for name in GATEWAYS}


def test_prometheus_may_read_every_gateway() -> None:
    """It shows the token whose hash the gateways have, and calls them by names that they take."""
    (job,) = yaml.safe_load((COMPOSE / "prometheus.yml").read_text())["scrape_configs"]
    token = job["authorization"]["credentials"]

    for name in GATEWAYS:
        access = settings_of(name).listen.admin_access
        assert access.tokens_sha256 == (hashlib.sha256(token.encode()).hexdigest(),)
        assert access.hosts == (name,)


def test_ports_are_published_to_this_machine_only() -> None:
    """The tokens are examples that anybody can read, so nothing of the stack listens on the network."""
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]

    assert len(ports) == len(set(ports)) == 3 * len(GATEWAYS) + 1
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_image_outlives_a_drain() -> None:
    """A gateway has the time to drain before it is killed, and is asked for its life on its admin port."""
    for name in GATEWAYS:
        drain = settings_of(name).resilience.drain
        grace_s = float(SERVICES[name]["stop_grace_period"].removesuffix("s"))
        assert drain.drain_time_s + drain.drain_timeout_s < grace_s
        assert settings_of(name).listen.admin == "0.0.0.0:8002"
    assert "http://127.0.0.1:8002/healthz" in DOCKERFILE


def test_image_gets_all_that_the_package_is_made_of() -> None:
    """.dockerignore lets through the packages and the files that the build reads, and no more."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    let_through = {line[1:] for line in lines if line.startswith("!")}
    project = (ROOT / "pyproject.toml").read_text()
    packages = re.search(r"^packages = \[([^\]]+)\]", project, re.MULTILINE)
    assert packages

    assert let_through == {
        *re.findall(r'"(\w+)"', packages[1]),
        "LICENSE",
        "NOTICE",
        "README.md",
        "constraints.txt",
        "pyproject.toml",
    }
    assert all((ROOT / name).exists() for name in let_through)


def test_rules_are_of_series_that_there_are() -> None:
    """Prometheus would take a misspelt name without a word, and never tell."""
    rules = yaml.safe_load((COMPOSE / "rules.yml").read_text())["groups"][0]["rules"]
    named = {name for rule in rules for name in re.findall(r"\bedgeway_\w+", rule["expr"])}
    tables = (ROOT / "docs" / "operating.md").read_text()

    assert named
    assert not [name for name in named if f"`{name}" not in tables]
    assert (COMPOSE / "prometheus.yml").read_text().count("rules.yml") == 1
    volumes = SERVICES["prometheus"]["volumes"]
    assert "./rules.yml:/etc/prometheus/rules.yml:ro" in volumes
