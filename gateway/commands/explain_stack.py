"""`edgeway policy explain --stack`: which layers a request meets, in which order, and why in that order."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from pathlib import Path

import msgspec

from cache.levels.level import LevelError
from gateway.app.outline import assumed, outline
from gateway.app.stack_report import StacksReport
from gateway.config.document import ConfigError
from gateway.config.settings import Settings, load_settings
from gateway.core.request import CENTRAL
from routing.policy import Policy
from routing.problem import unknown

ASSUMED = (
    "without --settings: default settings, a cache, and an edge model for every cascade are taken for granted"
)


def settings_of(file: Path | None, region: str | None, policy: Policy, policy_file: Path) -> Settings:
    """Return the settings of the gateway whose stacks are shown: those in ``file``, else defaults.

    Raises:
        ConfigError: the file is wrong, or the gateway's region is not one of the policy's.
    """
    if file is None:
        if region is None and len(policy.regions) > 1:
            names = ", ".join(policy.regions)
            raise ConfigError(policy_file, f"--region: say whose gateway is meant: {names}")
        region = region or next(iter(policy.regions))
        _check_region(policy_file, region, policy.regions)
        return assumed(region)
    settings = load_settings(file)
    if settings.role == CENTRAL:
        raise ConfigError(file, "these are settings of a central tier, which takes no policy")
    if region is not None:
        settings = msgspec.structs.replace(settings, region=region)
    _check_region(file, settings.region, policy.regions)
    return settings


def stacks_of(policy: Policy, settings: Settings, file: Path | None, route: str | None) -> StacksReport:
    """Return the stacks of ``policy``; of ``route`` alone, and its endpoints, where one is named.

    Raises:
        ConfigError: ``file`` names a cache that cannot be used.
    """
    try:
        report = asyncio.run(outline(policy, settings))
    except LevelError as error:
        raise ConfigError(file or Path(), str(error)) from None
    if route is None:
        return report
    names = next(found.endpoints for found in policy.routes if found.name == route)
    return msgspec.structs.replace(
        report,
        routes={route: report.routes[route]},
        endpoints={name: layers for name, layers in report.endpoints.items() if name in names},
    )


def as_text(report: StacksReport, region: str, *, is_assumed: bool) -> str:
    """Return the stacks as numbered lists, with a note where settings had to be guessed."""
    note = f"\n{ASSUMED}" if is_assumed else ""
    return f"gateway of {region}, policy generation {report.generation}; outermost first{note}\n\n{report}"


def as_json(report: StacksReport, region: str, *, is_assumed: bool) -> str:
    """Return the stacks as a JSON object: what ``/stack`` of the admin port says, with region and note."""
    notes = [ASSUMED] if is_assumed else []
    facts = {"region": region, "notes": notes, **msgspec.to_builtins(report)}
    return msgspec.json.format(msgspec.json.encode(facts), indent=2).decode()


def _check_region(file: Path, region: str, known: Collection[str]) -> None:
    if region not in known:
        raise ConfigError(file, f"--region: {unknown('region', region, known)}")
