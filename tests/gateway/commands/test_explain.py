"""`edgeway policy explain`."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.__main__ import main
from tests.gateway.policies import GOOD, write_policy

WIDER = GOOD.replace(
    "routes:\n",
    "  other: {tier: edge, region: there, protocol: http, address: 'other:8000'}\n"
    "  near: {tier: central, region: here, protocol: http, address: 'near:8000'}\n"
    "places: {DE: only-here}\n"
    "routes:\n"
    "- {name: texts, match: {model: texts}, endpoints: [other, central, near]}\n"
    "- {name: local, match: {model: local}, endpoints: [near]}\n",
).replace("residency:\n", "residency:\n  only-here: {regions: [here]}\n", 1)


def explained(folder: Path, *arguments: str, text: str = WIDER) -> int:
    return main(["policy", "explain", str(write_policy(folder, text)), *arguments])


def test_whole_way_of_a_request(tmp_path: Path, capsys) -> None:
    """Home, residency, allowed regions, route, what the gateway does, endpoints in order, outcome."""
    assert explained(tmp_path, "--model", "texts", "--client-country", "fr") == 0

    assert capsys.readouterr().out.splitlines() == [
        "client      FR, continent EU",
        "home        here",
        "tenant      anonymous",
        "residency   anywhere",
        "allowed     here, there",
        "route       texts (routes[0])",
        "settings    timeout_ms, per_try_timeout_ms, num_retries, retry_on (each gateway's settings)",
        "gateway     here: endpoints",
        "locality    failover: here, there, then the rest",
        "endpoint 1  near: central tier of here, http near:8000",
        "endpoint 2  other: edge tier of there, http other:8000",
        "endpoint 3  central: central tier of there, grpc 127.0.0.1:9",
        "outcome     answered",
    ]


def test_cache_and_edge_model_are_named(tmp_path: Path, capsys) -> None:
    """What a gateway asks before an endpoint, and what it does while central is down."""
    explained(tmp_path, "--model", "digits", "--region", "there")

    out = capsys.readouterr().out.splitlines()
    assert out[:2] == ["client     place not known: every rule applies", "home       none"]
    assert out[3:5] == ["residency  only-here", "allowed    here"]
    assert "gateway    there: passes it on; nothing is computed or kept there" in out

    explained(tmp_path, "--model", "digits", "--region", "there", "--client-country", "FR")

    assert (
        "there: cache, edge model if it has one (serve_edge while central is down)" in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["--model", "cats", "--client-country", "FR"],
            "refused, 404: no route takes model 'cats' from tenant 'anonymous'",
        ),
        (
            ["--model", "texts", "--client-country", "DE", "--tenant", "exile"],
            "refused, 503: no region may see",
        ),
        (
            ["--model", "local", "--client-country", "US", "--tenant", "exile"],
            "refused, 503: no endpoint of the route",
        ),
    ],
)
def test_refusal_is_the_last_line(arguments: list[str], says: str, tmp_path: Path, capsys) -> None:
    """A request that the policy refuses exits 1, with the code that a client gets and the reason."""
    assert explained(tmp_path, *arguments) == 1

    name, text = capsys.readouterr().out.splitlines()[-1].split(maxsplit=1)
    assert name == "outcome"
    assert text.startswith(says)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--region", "hare"], "--region: unknown region 'hare'; did you mean 'here'?"),
        (["--region", "here", "--tenant", "exil"], "--tenant: unknown tenant 'exil'; did you mean 'exile'?"),
        (["--json"], "--json: it goes with --stack"),
        (["--settings", "gateway.yaml"], "--settings: it goes with --stack"),
        ([], "--region: this client is at home nowhere; say whose gateway it calls: here, there"),
        (["--client-country", "JP"], "--region: this client is at home nowhere"),
    ],
)
def test_unknown_names_are_no_answer(arguments: list[str], says: str, tmp_path: Path, capsys) -> None:
    """A misspelt argument exits 2, with what may have been meant."""
    assert explained(tmp_path, "--model", "digits", *arguments) == 2

    assert says in capsys.readouterr().err


def test_a_request_has_a_model(tmp_path: Path, capsys) -> None:
    """Without --stack there is nothing to explain but a request."""
    assert explained(tmp_path, "--client-country", "FR") == 2

    assert "--model: name the model of the request, or add --stack" in capsys.readouterr().err


@pytest.mark.parametrize("country", ["UK", "EU", "Germany", ""])
def test_what_is_no_country_is_refused(country: str, tmp_path: Path, capsys) -> None:
    """Countries are ISO 3166 codes; a continent is none."""
    with pytest.raises(SystemExit) as caught:
        explained(tmp_path, "--model", "digits", "--client-country", country)

    assert caught.value.code == 2
    assert "unknown ISO 3166 country" in capsys.readouterr().err


def test_policy_that_cannot_come_into_force_is_not_explained(tmp_path: Path, capsys) -> None:
    """A wrong policy decides nothing: its first error is told."""
    text = GOOD.replace("endpoints: [central]", "endpoints: [centrall]")

    assert explained(tmp_path, "--model", "digits", text=text) == 2

    assert "EW103" in capsys.readouterr().err


CONDITIONAL = WIDER.replace(
    "routes:\n",
    "routes:\n"
    "- {name: team, match: {model: texts, headers: {X-Team: blue}}, endpoints: [near], versions: {'1': 95, '2': 5}}\n"
    "- {name: part, match: {model: texts, percent: 5}, endpoints: [near]}\n",
    1,
)


def test_routes_that_are_passed_over_are_named(tmp_path: Path, capsys) -> None:
    """What the request lacks, and which percentages may take it."""
    explained(tmp_path, "--model", "texts", "--client-country", "fr", text=CONDITIONAL)

    out = capsys.readouterr().out.splitlines()
    assert [line.split("  ", 1)[1].strip() for line in out if line.startswith("passed over")] == [
        "team (routes[0]): header x-team: not what it asks for",
        "part (routes[1]): it takes 5 % of such requests, by input",
    ]
    assert [line for line in out if line.startswith("route ")] == ["route        texts (routes[2])"]


def test_conditions_and_versions_are_explained(tmp_path: Path, capsys) -> None:
    """A header chooses the route, which divides its requests."""
    header = ("--header", "x-team=blue")
    explained(tmp_path, "--model", "texts", "--client-country", "fr", *header, text=CONDITIONAL)

    out = capsys.readouterr().out
    assert "route       team (routes[0])" in out
    assert "version     1 (95 %), 2 (5 %), by input" in out


@pytest.mark.parametrize(
    ("shadow", "arguments", "line"),
    [
        (
            "{endpoints: [near, central], version: '7', percent: 2.5}",
            (),
            "shadow      2.5 % of what no cache has, after the answer, to near, central, version 7",
        ),
        (
            "{version: '7'}",
            ("--client-country", "de"),
            "shadow      100 % of what no cache has, after the answer, to near, version 7",
        ),
        ("{endpoints: [central]}", ("--client-country", "de"), "shadow      none: no endpoint of it lies in"),
        ("{endpoints: [near]}", ("--tenant", "exile"), "shadow      none: no endpoint of it lies in"),
    ],
    ids=["in order", "where the client may go", "elsewhere", "this gateway passes it on"],
)
def test_a_shadow_is_explained(
    tmp_path: Path, capsys, shadow: str, arguments: tuple[str, ...], line: str
) -> None:
    """How much goes there, after the answer, and to which endpoints in allowed regions."""
    text = WIDER.replace("[other, central, near]}", f"[other, central, near], shadow: {shadow}}}")
    place = () if "--client-country" in arguments else ("--client-country", "fr")

    explained(tmp_path, "--model", "texts", "--region", "here", *place, *arguments, text=text)

    assert any(each.startswith(line) for each in capsys.readouterr().out.splitlines())


@pytest.mark.parametrize(
    ("hedge", "says"),
    [
        ("{}", "after the p95 of what first attempts take, 1 ms at least; 5 % of requests at most"),
        (
            "{delay_ms: 40, budget_percent: 1}",
            "another attempt elsewhere after 40 ms; 1 % of requests at most",
        ),
    ],
)
def test_hedging_is_explained(hedge: str, says: str, tmp_path: Path, capsys) -> None:
    text = WIDER.replace("match: {model: texts},", f"match: {{model: texts}}, hedge: {hedge},")

    explained(tmp_path, "--model", "texts", "--client-country", "FR", text=text)

    assert says in capsys.readouterr().out


LISTS = WIDER.replace("address: 'near:8000'", "address: 'near:8000', models: [cats, 'texts:2']")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--model", "texts"], "endpoint 1  near: central tier of here, http near:8000, holds cats, texts:2"),
        (["--model", "texts", "--version", "1"], "passed over  near: 'texts' is not among its models"),
        (
            ["--model", "local"],
            "models      no endpoint lists 'local': the first says that there is no such model",
        ),
    ],
)
def test_lists_of_models(arguments: list[str], says: str, tmp_path: Path, capsys) -> None:
    """An endpoint that does not list the model is passed over, unless none does."""
    assert explained(tmp_path, *arguments, "--client-country", "FR", text=LISTS) == 0

    out = capsys.readouterr().out.splitlines()
    assert says in out
    assert ("  near: central" in "\n".join(out)) == ("passed over" not in says)


ONE_REGION = """\
generation: 1
regions: {only: {}}
residency: {all: {regions: ["*"]}}
tenants: {anonymous: {residency: all}}
endpoints:
  a: {tier: central, region: only, protocol: http, addresses: ["10.0.0.1:1"], drain: DRAIN_A}
  b: {tier: central, region: only, protocol: http, addresses: ["10.0.0.2:1"], drain: DRAIN_B}
routes:
- {name: r, match: {model: m}, endpoints: [a, b]CASCADE}
"""


def test_of_one_region_it_is_the_gateway(tmp_path: Path, capsys) -> None:
    """Whoever has one region need not name it, though no client is at home there."""
    text = ONE_REGION.replace("DRAIN_A", "false").replace("DRAIN_B", "false").replace("CASCADE", "")
    assert explained(tmp_path, "--model", "m", text=text) == 0
    assert "gateway     only: endpoints" in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("drains", "cascade", "code"),
    [
        (("true", "true"), "", 1),
        (("true", "false"), "", 0),
        (("false", "true"), "", 0),
        (("true", "true"), ", cascade: {}", 0),
    ],
)
def test_where_the_policy_drains_all_a_request_is_refused(
    tmp_path: Path, capsys, drains: tuple[str, str], cascade: str, code: int
) -> None:
    """As a gateway does; an edge model answers all the same."""
    text = ONE_REGION.replace("DRAIN_A", drains[0]).replace("DRAIN_B", drains[1]).replace("CASCADE", cascade)
    assert explained(tmp_path, "--model", "m", text=text) == code
    outcome = capsys.readouterr().out.splitlines()[-1].partition(" ")[2].strip()
    assert outcome == ("refused, 503: every endpoint that may be asked is drained" if code else "answered")


def test_more_than_one_further_attempt_is_told(tmp_path: Path, capsys) -> None:
    text = ONE_REGION.replace("DRAIN_A", "false").replace("DRAIN_B", "false")
    text = text.replace("CASCADE", ", hedge: {max_attempts: 3, delay_ms: 7}")
    assert explained(tmp_path, "--model", "m", text=text) == 0
    hedge = "up to 2 more attempts, each elsewhere after 7 ms; 5 % of requests at most"
    assert f"hedge       {hedge}" in capsys.readouterr().out.splitlines()
