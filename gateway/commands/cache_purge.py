"""`edgeway cache purge`: kept answers that are no longer to be given, in all regions."""

from __future__ import annotations

import argparse
import sys
from typing import Any, Final

import msgspec

from gateway.commands.admin_call import add_admin, call_admin, decode_answer
from gateway.commands.arguments import add_command
from gateway.core.purge import PurgeOrder, PurgeReport

EXAMPLES: Final = """\
  edgeway cache purge --model fraud                       of one model, in all regions
  edgeway cache purge --tag prices --wait                 of routes with a tag; wait until all have it
  edgeway cache purge --tenant acme --model fraud         only what fits both
  edgeway cache purge --all --region eu-west              everything, in one region
  edgeway cache purge --model fraud --dry-run             only say what it would concern

nothing is deleted: the answers are no longer found, and leave when their time is over. Exit code 1: it
holds for this gateway alone although there is a log, or with --wait not everybody has it
"""
_WAIT_S: Final = 8.0


def add_to(group: Any) -> None:
    """Add `edgeway cache purge`."""
    parser = add_command(
        group, "purge", _purge, about="have answers given no more, in all regions", examples=EXAMPLES
    )
    for name in ("model", "tenant", "tag"):
        parser.add_argument(f"--{name}", default="", metavar="NAME", help=f"answers of this {name}")
    parser.add_argument("--all", action="store_true", help="all answers")
    parser.add_argument(
        "--region", action="append", default=[], metavar="NAME", help="only there; several times for several"
    )
    parser.add_argument("--wait", action="store_true", help=f"wait until all have it, {_WAIT_S:g} s at most")
    parser.add_argument("--dry-run", action="store_true", help="only say what it would concern")
    parser.add_argument("--json", action="store_true", help="print what the gateway answers, for programs")
    add_admin(parser)


def _purge(options: argparse.Namespace) -> int:
    try:
        order = msgspec.convert(
            {
                "all": options.all,
                "model": options.model,
                "tenant": options.tenant,
                "tag": options.tag,
                "regions": options.region,
                "wait_s": _WAIT_S if options.wait else 0.0,
                "dry_run": options.dry_run,
            },
            PurgeOrder,
        )
    except msgspec.ValidationError as error:
        print(f"edgeway: {error}", file=sys.stderr)
        return 2
    answer = call_admin(options.admin, "/cache/purge", msgspec.json.encode(order))
    if answer is None:
        return 1
    report = decode_answer(options.admin, answer, PurgeReport)
    if report is None:
        return 1
    print(answer.decode().strip() if options.json else "\n".join(lines(order, report)))
    is_missing = report.readers is not None and not all(reader.has_it for reader in report.readers)
    is_lost = any("cannot be" in remark for remark in report.remarks)
    return 1 if is_lost or is_missing or report.unheard else 0


def lines(order: PurgeOrder, report: PurgeReport) -> list[str]:
    """Return what an operator reads of ``report``."""
    named = [f"{field} {getattr(order, field)}" for field in ("model", "tenant", "tag")]
    what = ", ".join(each for each in named if not each.endswith(" ")) or "all answers"
    where = " in " + ", ".join(order.regions) if order.regions else ""
    text = [f"would purge: {what}{where}" if order.dry_run else f"purged: {what}{where}"]
    text.append(f"routes: {', '.join(report.routes) or 'none'}")
    text += [f"note: {remark}" for remark in report.remarks]
    for reader in report.readers or ():
        text.append(f"{'has it' if reader.has_it else 'WAITING'}  {reader.region}  {reader.name}")
    text += [f"UNHEARD  {region}: no gateway of it reads this region's log" for region in report.unheard]
    return text
