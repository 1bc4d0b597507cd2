"""Orders to purge in one process: what they concern, checked against the policy, and made."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from cache.invalidation.epochs import HERE
from cache.invalidation.invalidations import Invalidated, Invalidations
from cache.invalidation.log import UNREADABLE
from cache.invalidation.scope import MAX_NAME_BYTES, Scope
from gateway.core.errors import Fault, GatewayError
from gateway.core.purge import PurgeOrder, PurgeReader, PurgeReport, Purges
from gateway.core.spelling import unknown
from routing.policy import Policy, Route

_HERE_ONLY = (
    "it holds for this gateway and its workers until they are restarted: the settings have no `invalidation`"
)

_UNREACHED = "it cannot be passed on to {}: order it there as well"


@dataclass(frozen=True, slots=True)
class OwnPurges:
    """Purges of this process. ``region``: where it is; ``policy``: the one in force."""

    region: str
    invalidations: Invalidations
    policy: Callable[[], Policy | None]

    async def purge(self, order: PurgeOrder) -> PurgeReport:
        """Make the invalidations that ``order`` wants.

        Raises:
            GatewayError: INVALID: it names nothing, or what cannot be.
        """
        policy = self.policy()
        _check(order, policy)
        routes = _routes(order, policy)
        remarks = _remarks(order, policy, routes)
        if order.dry_run:
            return PurgeReport(routes=routes, remarks=tuple(remarks))
        # All at once: a log that is silent costs its time limit once, and not once for each region.
        by = f"operator in {self.region}"
        made = await asyncio.gather(*(self.invalidations.invalidate(scope, by) for scope in _scopes(order)))
        is_everywhere = all(each.log != HERE for each in made)
        problems = {each.problem for each in made if each.problem}
        remarks += [f"{problem}; it holds for this gateway alone: try again" for problem in sorted(problems)]
        if not is_everywhere and not problems:
            remarks.append(_HERE_ONLY)
            elsewhere = sorted(set(order.regions) - {self.region})
            remarks += [_UNREACHED.format(region) for region in elsewhere]
        return PurgeReport(
            made=tuple(msgspec.Raw(msgspec.json.encode(each)) for each in made),
            routes=routes,
            remarks=tuple(remarks),
            is_everywhere=is_everywhere,
        )

    async def take(self, made: tuple[msgspec.Raw, ...]) -> None:
        """Obey invalidations that another process of this gateway has made."""
        for each in made:
            self.invalidations.note(_invalidated(each))

    async def receipts(self, report: PurgeReport, wait_s: float) -> PurgeReport:
        """Return ``report`` with who has the last of its invalidations, after ``wait_s`` at most."""
        logged = [each for each in map(_invalidated, report.made) if each.log != HERE]
        if not logged:
            return report
        try:
            # Whoever has the last one has those before.
            found = await self.invalidations.wait(logged[-1], wait_s)
        except UNREADABLE as error:
            remark = f"who has it is not known, the log cannot be read: {type(error).__name__}"
            return msgspec.structs.replace(report, remarks=(*report.remarks, remark))
        readers = [
            PurgeReader(name=reader.name, region=reader.region, has_it=reader in found.arrived)
            for reader in (*found.arrived, *found.awaited)
        ]
        readers.sort(key=lambda reader: (reader.region, reader.name))
        return msgspec.structs.replace(report, readers=tuple(readers), unheard=found.unheard)


def _invalidated(made: msgspec.Raw) -> Invalidated:
    try:
        return msgspec.json.decode(made, type=Invalidated)
    except msgspec.MsgspecError as error:
        raise GatewayError(Fault.INVALID, f"this is no invalidation: {error}") from None


def _check(order: PurgeOrder, policy: Policy | None) -> None:
    named = [field for field in ("model", "tenant", "tag") if getattr(order, field)]
    if order.all and named:
        what = " and ".join(named)
        raise GatewayError(Fault.INVALID, f"all answers, or those of a {what}: name one of the two")
    if not order.all and not named:
        raise GatewayError(Fault.INVALID, "name a model, a tenant or a tag, several of them together, or all")
    for region in order.regions:
        if policy is not None and region not in policy.regions:
            raise GatewayError(Fault.INVALID, unknown("region", region, policy.regions))
    longest = max(len(scope.name) for scope in _scopes(order))
    if longest > MAX_NAME_BYTES:
        # Other gateways would not read it.
        raise GatewayError(
            Fault.INVALID,
            f"the names take {longest} bytes as the log has them, at most {MAX_NAME_BYTES} are taken:"
            " name fewer of them together",
        )


def _scopes(order: PurgeOrder) -> list[Scope]:
    return [
        Scope(model=order.model, tenant=order.tenant, tag=order.tag, region=region)
        for region in order.regions or ("",)
    ]


def _routes(order: PurgeOrder, policy: Policy | None) -> tuple[str, ...]:
    def is_meant(route: Route) -> bool:
        model = route.match.model
        is_model = not order.model or model == order.model or any(sign in model for sign in "*?[~")
        return is_model and (not order.tag or order.tag in route.cache.tags)

    return () if policy is None else tuple(route.name for route in policy.routes if is_meant(route))


def _remarks(order: PurgeOrder, policy: Policy | None, routes: tuple[str, ...]) -> list[str]:
    """Say what is named and not known: the order is obeyed, for it may have been known before."""
    if policy is None:
        return []
    remarks = []
    tags = {tag for route in policy.routes for tag in route.cache.tags}
    if order.tag and order.tag not in tags:
        remarks.append(f"no route has this tag: {unknown('tag', order.tag, tags)}")
    if order.tenant and order.tenant not in policy.tenants:
        remarks.append(unknown("tenant", order.tenant, policy.tenants))
    if order.model and not routes and not order.tag:
        remarks.append(f"no route is for this model: {order.model}")
    return remarks


_: type[Purges] = OwnPurges
