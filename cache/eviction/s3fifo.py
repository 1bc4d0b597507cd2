"""S3-FIFO: which entry leaves. Queues of nodes, weighed in bytes; nothing here knows what they hold.

Most keys of a Zipf-like stream are requested once. LRU lets each of them travel through the whole cache
before it leaves; S3-FIFO (Yang, Zhang, Qiu, Yue, Rashmi: FIFO Queues are All You Need for Cache Eviction,
SOSP 2023) evicts them early. It has three queues and moves nothing on a hit, which is one addition to
``Node.hits``, up to ``MOST_HITS``:

* **small**, a tenth of the bytes: every newcomer enters here. Leaving it, a key that was hit
  moves to main, any other is forgotten but for its name.
* **ghost**, names only: those that left small lately. A newcomer whose name is found here was
  forgotten too early, and enters main at once.
* **main**, the rest. A key at the head that was hit since its last turn goes to the tail with one hit
  less (a two-bit count), any other leaves for good.

The level in memory, its estimate of other sizes, and ``edgeway cache simulate`` all run this code.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

NAME_BYTES: Final = 160
PLACE_BYTES: Final = 280
"""What a place without an entry takes: its node, its key, its slots in dict and queue."""
SMALL_SHARE: Final = 0.1
MOST_HITS: Final = 3
HITS_TO_STAY: Final = 1


class Expiring(Protocol):
    """What a node holds, as far as its eviction depends on it."""

    @property
    def hard_expiry(self) -> float:
        """Steady seconds after which it is of no use."""
        ...


Held = TypeVar("Held", bound=Expiring)


class Node(Generic[Held]):
    """A key's place in ``queue``. ``held`` is None when it was deleted: the place leaves in its turn."""

    __slots__ = ("held", "hits", "key", "queue", "size")

    def __init__(self, key: Hashable, held: Held, size: int) -> None:
        self.key = key
        self.held: Held | None = held
        self.size = size
        self.hits = 0
        self.queue: Queue[Held]

    def hold(self, held: Held | None, size: int = PLACE_BYTES) -> None:
        """Hold another value of another size in the same place; None: nothing."""
        self.queue.bytes += size - self.size
        self.held, self.size = held, size


class Queue(Generic[Held]):
    """Nodes of ``owner`` in the order they came, and their bytes."""

    __slots__ = ("bytes", "nodes", "owner")

    def __init__(self, owner: S3Fifo[Held]) -> None:
        self.owner = owner
        self.nodes: deque[Node[Held]] = deque()
        self.bytes = 0

    def push(self, node: Node[Held]) -> None:
        """Add it as the last."""
        node.queue = self
        self.nodes.append(node)
        self.bytes += node.size

    def pop(self) -> Node[Held]:
        """Take out the first."""
        node = self.nodes.popleft()
        self.bytes -= node.size
        return node


class _Ghosts:
    """Names in the order they came, as 64-bit hashes: a mistaken one only lets a newcomer into main."""

    __slots__ = ("_known", "_order")

    def __init__(self) -> None:
        self._order: deque[int] = deque()
        self._known: set[int] = set()

    def __len__(self) -> int:
        return len(self._order)

    def remember(self, key: Hashable) -> None:
        name = hash(key)
        self._order.append(name)
        self._known.add(name)

    def recall(self, key: Hashable) -> bool:
        """Whether ``key`` was known; it is no longer. Its place in the order leaves in its turn."""
        name = hash(key)
        is_known = name in self._known
        self._known.discard(name)
        return is_known

    def trim(self, most: int) -> None:
        while len(self._order) > most:
            self._known.discard(self._order.popleft())


class Occupancy(NamedTuple):
    """Places in each queue, names in ghost, and the bytes of all of them, added up one by one."""

    small: int
    main: int
    ghosts: int
    bytes: int


class S3Fifo(Generic[Held]):
    """The three queues. Who owns them keeps the dict of nodes, and evicts until enough is free.

    Ghost holds as many names as there are places, each charged with ``NAME_BYTES``.
    """

    __slots__ = ("_ghosts", "_main", "_small")

    def __init__(self) -> None:
        self._small: Queue[Held] = Queue(self)
        self._main: Queue[Held] = Queue(self)
        self._ghosts = _Ghosts()

    def __repr__(self) -> str:
        return f"<S3Fifo {self.shape}>"

    @property
    def shape(self) -> str:
        """How many there are in each queue, in words."""
        small, main = len(self._small.nodes), len(self._main.nodes)
        return f"{small} small, {main} main, {len(self._ghosts)} ghosts"

    @property
    def num_places(self) -> int:
        """Nodes in both queues."""
        return len(self._small.nodes) + len(self._main.nodes)

    @property
    def num_ghosts(self) -> int:
        """Names in ghost."""
        return len(self._ghosts)

    @property
    def bytes(self) -> int:
        """Bytes of all nodes and names."""
        return self._small.bytes + self._main.bytes + len(self._ghosts) * NAME_BYTES

    def occupancy(self) -> Occupancy:
        """Count everything anew; it takes as long as there are entries, so it is for checks only."""
        small, main, ghosts = self._small.nodes, self._main.nodes, len(self._ghosts)
        sizes = sum(node.size for queue in (small, main) for node in queue)
        return Occupancy(len(small), len(main), ghosts, sizes + ghosts * NAME_BYTES)

    def is_in_main(self, node: Node[Held]) -> bool:
        """Whether ``node``, which is in one of the queues, is in main."""
        return node.queue is self._main

    def admit(self, node: Node[Held]) -> None:
        """Take in a newcomer."""
        queue = self._main if self._ghosts.recall(node.key) else self._small
        queue.push(node)

    def evict(self, now: float) -> tuple[Node[Held] | None, str]:
        """Let the next node leave, or go on to its next turn: then there is None. Beside it, why it left.

        What has passed its hard expiry at steady time ``now`` gets no further turn.
        """
        small, main = self._small, self._main
        if small.nodes and (small.bytes > SMALL_SHARE * self.bytes or not main.nodes):
            node, cause = small.pop(), "small"
            stays, hits = node.hits >= HITS_TO_STAY, 0
        elif main.nodes:
            node, cause = main.pop(), "main"
            stays, hits = node.hits > 0, node.hits - 1
        else:
            self._ghosts.trim(0)
            return None, ""
        held = node.held
        if held is not None and held.hard_expiry <= now:
            stays, cause = False, "expired"
        if held is not None and stays:
            node.hits = hits
            main.push(node)
            return None, ""
        if held is not None and node.queue is small:
            self._ghosts.remember(node.key)
        self._ghosts.trim(self.num_places)
        return node, cause
