"""Who the members of one endpoint are now: built when they appear, drained when they go."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from gateway.app.pools.listing import Listed, Name, listed
from gateway.app.pools.member import PoolMember
from gateway.app.pools.resolution import Resolution
from resilience.outlier_detector import OutlierDetector, Watched
from routing.endpoint import Endpoint
from routing.pools.choosing import load_settings

Build = Callable[[Listed], PoolMember]
Resolve = Callable[[Mapping[Name, Sequence[str]], Callable[[], None]], Resolution]
"""Takes what is known of the names already, and what to call when one leads elsewhere."""
Compare = Callable[[Callable[[], Sequence[Watched]]], OutlierDetector]


class Roster:
    """The members of one endpoint, in the order of its policy.

    Args:
        definition: lists them.
        build: makes a member.
        leave: closes a member to which no request can come any more, once those under way have ended.
        resolve: makes what looks up its names.
        compare: makes what compares the members that it is given the means to name.
        before: the same endpoint's, as another policy has it, whose members are connected to in the same way.
    """

    def __init__(
        self,
        definition: Endpoint,
        build: Build,
        *,
        leave: Callable[[PoolMember], None],
        resolve: Resolve,
        compare: Compare,
        before: Roster | None = None,
    ) -> None:
        self._definition, self._build, self._leave = definition, build, leave
        self._loads = load_settings(definition.load_balancing)
        self.resolution: Resolution = resolve(
            before.resolution.known if before is not None else {}, self._update
        )
        self._detector = compare(lambda: [each.parts.health for each in self.members])
        self._listed: tuple[Listed, ...] = ()
        self.members: tuple[PoolMember, ...] = ()
        """The same tuple until the members change."""
        self._take(before.members if before is not None else ())

    def __repr__(self) -> str:
        return f"<Roster of {len(self.members)} members, {self.resolution!r}>"

    def start(self, before: Roster | None = None) -> None:
        """Begin to look after the members and their names: it is in force, and ``before`` was until now."""
        known = {id(each) for each in before.members} if before is not None else set()
        self._look_after([each for each in self.members if known and id(each) not in known])
        self.resolution.start()
        if self._definition.addresses:
            self._detector.start()

    async def aclose(self) -> None:
        """Look up and compare no more. Members are closed by who knows whether others need them."""
        await self.resolution.aclose()
        await self._detector.aclose()

    def _take(self, known: Sequence[PoolMember]) -> None:
        by_name = {each.name: each for each in known if not each.is_leaving}
        self._listed = listed(self._definition, self.resolution.known)
        self.members = tuple(by_name.get(each.name) or self._build(each) for each in self._listed)

    def _look_after(self, new: Sequence[PoolMember]) -> None:
        for each in new:
            each.warm_up()
        for member, entry in zip(self.members, self._listed, strict=True):
            member.place(entry, self._loads)
            member.parts.refresher.start()
            member.parts.health.start()

    def _update(self) -> None:
        before = self.members
        self._take(before)
        known = {id(each) for each in before}
        # When all are new, none of them is newer than the others.
        self._look_after([each for each in self.members if known and id(each) not in known])
        staying = {id(each) for each in self.members}
        for each in before:
            if id(each) not in staying:
                each.is_leaving = True
                self._leave(each)
