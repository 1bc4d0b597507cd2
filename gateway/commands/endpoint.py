"""`edgeway endpoint`: who is in and who is out at a running gateway, and taking out of service."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from gateway.commands.admin_call import add_admin, call_admin
from gateway.commands.arguments import add_command, add_group

_MODELS: Final = 8
"""Models of one member in a line of the table; --json has more."""

LIST_EXAMPLES = """\
  edgeway endpoint list
  edgeway endpoint list --admin http://10.0.0.7:8002 --json | jq '.[].state'
"""
DRAIN_EXAMPLES = """\
  edgeway endpoint drain central                    nothing new goes to it, other endpoints take over
  edgeway endpoint drain central 10.0.0.2:8001      one member; the others of central take over
  EDGEWAY_ADMIN_TOKEN=$(cat token) edgeway endpoint drain central --admin https://10.0.0.7:8002

what is under way there goes on, so do the steps of sequences that began there; `edgeway endpoint list` shows
under "active" when nothing is left
"""
UNDRAIN_EXAMPLES = """\
  edgeway endpoint undrain central
  edgeway endpoint undrain central 10.0.0.2:8001
"""


def add_to(commands: Any) -> None:
    """Add `edgeway endpoint`."""
    group = add_group(commands, "endpoint", about="list and drain the endpoints of a running gateway")
    parser = add_command(
        group,
        "list",
        _list,
        about="show every endpoint with its members, and how they are",
        examples=LIST_EXAMPLES,
    )
    parser.add_argument("--json", action="store_true", help="print what the gateway answers, for programs")
    add_admin(parser)
    for verb, about, examples in (
        ("drain", "send nothing new to an endpoint, or to one member of it", DRAIN_EXAMPLES),
        ("undrain", "send to an endpoint, or to one member of it, again", UNDRAIN_EXAMPLES),
    ):
        parser = add_command(group, verb, _order, about=about, examples=examples)
        parser.set_defaults(verb=verb)
        parser.add_argument("endpoint", metavar="ENDPOINT", help="its name in the policy")
        parser.add_argument("member", metavar="MEMBER", nargs="?", default="", help="its name in the list")
        add_admin(parser)


def _list(options: argparse.Namespace) -> int:
    answer = call_admin(options.admin, "/endpoints")
    if answer is None:
        return 1
    if options.json:
        print(answer.decode().strip())
        return 0
    endpoints = json.loads(answer)
    print("\n".join(table(endpoints)) if endpoints else "this gateway has no endpoints")
    return 0


def _order(options: argparse.Namespace) -> int:
    path = f"/endpoints/{quote(options.endpoint, safe='')}/{options.verb}"
    answer = call_admin(options.admin, path, json.dumps({"member": options.member}).encode())
    if answer is None:
        return 1
    what = f"{options.endpoint} {options.member}".strip()
    print(f"{what} is {options.verb}ed")
    return 0


def table(endpoints: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the lines of a table: each endpoint, and below it its members."""
    rows: list[tuple[str, ...]] = [
        ("ENDPOINT / MEMBER", "STATE", "ACTIVE", "LATENCY", "WEIGHT", "ZONE", "REQUESTS", "FAILED", "MODELS")
    ]
    for endpoint in endpoints:
        note = f", drained by the {endpoint['drained']}" if endpoint["drained"] else ""
        problem = f", {endpoint['problem']}" if endpoint["problem"] else ""
        state = f"{endpoint['state']}{note}{problem}"
        rows.append((endpoint["endpoint"], state, *[""] * 6, _models(endpoint)))
        rows += [_row(member) for member in endpoint["members"]]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _row(member: Mapping[str, Any]) -> tuple[str, ...]:
    notes = [member["state"], member.get("reason", ""), "drained" if member.get("drained") else ""]
    return (
        f"  {member['member']}",
        ", ".join(filter(None, notes)),
        str(member["active"]),
        f"{member['latency_ms']:.1f} ms",
        f"{member['weight']:g}",
        member.get("zone", ""),
        str(member["requests"]),
        str(member["failures"]),
        _models(member),
    )


def _models(holder: Mapping[str, Any]) -> str:
    """Return what is known to be held, and since when: nothing where nothing is known."""
    if "models" not in holder:
        return ""
    shown, since = holder["models"][:_MODELS], holder.get("models_since")
    more = holder["num_models"] - len(shown)
    text = " ".join(shown) + (f" and {more} more" if more else "") if shown else "none"
    return f"{text}, since {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(since))}" if since else text
