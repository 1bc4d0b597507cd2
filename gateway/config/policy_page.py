"""`python -m gateway.config.policy_page docs/policies`: docs/policy.md, whole policies and every field.

The fields are those of the types that read a policy. Their examples are taken from the policies in the
folder, which the tests validate.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from gateway.config.document import read
from gateway.config.reference import sections
from routing.policy import Policy

EVERY_FIELD: Final = "every_field"
"""What the policies whose names begin so are for: fields that no whole policy needs."""

_INTRODUCTION: Final = """\
# The policy
Made by `make settings` from the types that read a policy and from [docs/policies](policies). One file, the
same in every region; `edgeway policy validate FILE` checks it, `edgeway policy explain FILE …` shows what it
does with a request. How it comes into force is in
[operating](operating.md#policy-the-same-file-in-every-region).

An endpoint is a pool of members: `addresses` lists them, and a DNS name among them stands for each address
that it has. A request goes to the first endpoint of its plan (residency decides which may be in it,
`locality` their order) and there to one member (`load_balancing`); a retry goes to another member, then to
the next endpoint. [0035](decisions/0035-an-endpoint-is-a-pool.md) says why, and where it differs from Envoy.

An endpoint that is known not to hold the model, or the version, is passed over while another may have it:
`models` lists them, else the indexes of its members do.
[0038](decisions/0038-a-request-goes-where-its-model-is.md) says why.

What routes and endpoints do not name they have from `defaults`, one level and nothing merged: a route with a
`cache` of its own has nothing of the defaults' `cache`, and one with `cache: null` has none of either.
[0042](decisions/0042-attempts-of-a-route-and-what-it-inherits.md) says why.

The older form of an endpoint, `address` instead of `addresses`, keeps working: one member, whose name's
addresses stand in for each other. `edgeway policy validate` notes it (EW301).
"""

_UNITS: Final = (
    (r"_ms$", "ms"),
    (r"_s$", "s"),
    (r"_rps$", "requests/s"),
    (r"_percent$|^percent$|^enforcing_|_threshold$(?<!healthy_threshold)|_factor$(?<!stdev_factor)", "%"),
    (r"_stdev_factor$", "0.001 deviations"),
    (r"^(latitude|longitude)$", "degrees"),
    (r"^max_concurrency$|_request_volume$", "requests"),
    (r"_minimum_hosts$", "members"),
    (r"^consecutive_", "failures"),
    (r"^(un)?healthy_threshold$", "checks"),
    (r"^choice_count$", "members"),
    (r"^(num_retries|max_attempts)$", "attempts"),
    (r"^percentile$", "%"),
    (r"^(max_in_flight|max_waiting)$", "copies"),
    (r"\.to$", "%"),
)
_CHECKS: Final = frozenset({"healthy_threshold", "unhealthy_threshold"})
_MOST: Final = 72
"""Characters of an example."""


def render(folder: Path) -> str:
    """Return the page."""
    files = sorted(folder.glob("*.yaml"))
    documents = [read(file).values for file in files]
    parts = [_INTRODUCTION, "## Whole policies"]
    parts += [_whole(file) for file in files if not file.stem.startswith(EVERY_FIELD)]

    def extras(path: str) -> tuple[str, ...]:
        return (unit(path), example(documents, path))

    parts.append(sections("Every field", Policy, ("unit", "example"), extras))
    return "\n".join(parts)


def unit(path: str) -> str:
    """Return the unit of the field at ``path``, by its name; empty: it has none."""
    name = path.rpartition(".")[2]
    if name in _CHECKS:
        return "checks"
    return next(
        (unit for pattern, unit in _UNITS if re.search(pattern, name) or re.search(pattern, path)), ""
    )


def example(documents: list[Any], path: str) -> str:
    """Return the shortest value that the documents have at ``path``; empty: none has one."""
    steps = re.findall(r"[^.\[\]]+|\[\]", path)
    values = [value for document in documents for value in _at(document, steps)]
    texts = [msgspec.json.encode(value).decode() for value in values]
    shortest = min(texts, key=len, default="")
    if not shortest:
        return ""
    return f"`{shortest}`" if len(shortest) <= _MOST else "as above"


def _at(value: Any, steps: list[str]) -> Iterator[Any]:
    if not steps:
        yield value
    elif steps[0] == "[]" and isinstance(value, list):
        for each in value:
            yield from _at(each, steps[1:])
    elif isinstance(value, Mapping):
        if steps[0] == "NAME":
            for each in value.values():
                yield from _at(each, steps[1:])
        elif steps[0] in value:
            yield from _at(value[steps[0]], steps[1:])


def _whole(file: Path) -> str:
    """Return one policy, its first comment as its title."""
    first, _, rest = file.read_text().partition("\n")
    title = first.removeprefix("# ").rstrip(".")
    return f"### {title}\n[{file.name}](policies/{file.name})\n\n```yaml\n{rest.strip()}\n```\n"


if __name__ == "__main__":
    sys.stdout.write(render(Path(sys.argv[1])))
