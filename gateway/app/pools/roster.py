"""Who the members of one endpoint are now: built when they appear, drained when they go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence

from gateway.app.pools.gradual import AT_ONCE
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
    """The members of one endpoint, in the order of its policy; those that are on their way out come last.

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
        self._next_step: asyncio.Handle | None = None
        self._are_newer = False
        self.members: tuple[PoolMember, ...] = ()
        """The same tuple until the members change."""
        self._take(before.members if before is not None else ())

    def __repr__(self) -> str:
        return f"<Roster of {len(self.members)} members, {self.resolution!r}>"

    def start(self, before: Roster | None = None) -> Iterator[None]:
        """Begin to look after the members, one with each step, and then their names.

        It is in force, and ``before`` was until now.
        """
        known = {id(each) for each in before.members} if before is not None else set()
        self._warm_up([each for each in self.members if known and id(each) not in known])
        for member, entry in zip(self.members, self._listed, strict=False):
            self._look_after([member], [entry])
            yield
        self.resolution.start()
        if self._definition.addresses:
            self._detector.start()

    async def aclose(self) -> None:
        """Look up and compare no more. Members are closed by who knows whether others need them."""
        self.hold()
        await self.resolution.aclose()
        await self._detector.aclose()

    def hold(self) -> None:
        """Let no more members appear or go: another roster has taken over."""
        if self._next_step is not None:
            self._next_step.cancel()
            self._next_step = None

    def _take(self, known: Sequence[PoolMember]) -> None:
        by_name = {each.name: each for each in known if not each.is_leaving}
        self._listed = listed(self._definition, self.resolution.known)
        self.members = tuple(by_name.get(each.name) or self._build(each) for each in self._listed)

    def _warm_up(self, new: Sequence[PoolMember]) -> None:
        for each in new:
            each.warm_up()

    def _look_after(self, members: Sequence[PoolMember], entries: Sequence[Listed]) -> None:
        for member, entry in zip(members, entries, strict=False):
            member.place(entry, self._loads)
            member.parts.refresher.start()
            member.parts.health.start()

    def _update(self) -> None:
        if self._next_step is None:
            # When all are new, none of them is newer than the others.
            self._are_newer = bool(self.members)
            self._step()

    def _step(self) -> None:
        """Build some of those that are missing; once none is, let some go; go on while there are more."""
        self._next_step = None
        wanted = listed(self._definition, self.resolution.known)
        by_name = {each.name: each for each in self.members}
        missing = [each for each in wanted if each.name not in by_name]
        built = [self._build(each) for each in missing[:AT_ONCE]]
        by_name.update({each.name: each for each in built})
        self._listed = tuple(each for each in wanted if each.name in by_name)
        staying = tuple(by_name.pop(each.name) for each in self._listed)
        # The old ones stay until the new ones can take over.
        old = tuple(by_name.values())
        num_going = 0 if len(missing) > AT_ONCE else AT_ONCE
        self.members = staying + old[num_going:]
        if self._are_newer:
            self._warm_up(built)
        self._look_after(built, missing)
        for each in old[:num_going]:
            each.is_leaving = True
            self._leave(each)
        if len(missing) > AT_ONCE or len(old) > num_going:
            self._next_step = asyncio.get_running_loop().call_soon(self._step)
