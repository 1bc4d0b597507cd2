"""Sentinels and clusters of real redis-servers on loopback.

Example::

    with Sentinels() as shape:
        shape.url                 # redis+sentinel://127.0.0.1:PORT/mymaster/0
        shape.fail_over()         # the replica becomes the master

    with ClusterServers() as shape:
        shape.url                 # redis+cluster://127.0.0.1:PORT,…
        shape.move(slot, 0, 1)    # a slot with its keys
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

from redis import Redis

from tests.fakes.redis_server import RedisServer

NAME = "mymaster"


def wait_until(is_so: Any, what: str) -> None:
    """Look again until ``is_so()``."""
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


class _Shape:
    def __init__(self) -> None:
        self._stack = ExitStack()
        self.url = ""

    def _start(self, *arguments: str) -> RedisServer:
        return self._stack.enter_context(RedisServer(*arguments))

    def client(self, server: RedisServer) -> Redis:
        return self._stack.enter_context(Redis(port=server.port, decode_responses=True))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


class Sentinels(_Shape):
    """A master, its replica, and one Sentinel."""

    def __enter__(self) -> Self:
        self.master = self._start()
        self.replica = self._start("--replicaof", "127.0.0.1", str(self.master.port))
        folder = self._stack.enter_context(TemporaryDirectory())
        config = Path(folder, "sentinel.conf")
        config.write_text(
            f"sentinel monitor {NAME} 127.0.0.1 {self.master.port} 1\n"
            f"sentinel down-after-milliseconds {NAME} 500\n"
            f"sentinel failover-timeout {NAME} 3000\n"
        )
        self.sentinel = SentinelServer(str(config))
        self._stack.enter_context(self.sentinel)
        asked = self.client(self.sentinel)
        wait_until(lambda: asked.info("sentinel")["master0"]["slaves"] == 1, "the Sentinel sees the replica")
        replica = self.client(self.replica)
        wait_until(
            lambda: replica.info("replication")["master_link_status"] == "up", "the replica is in step"
        )
        self.url = f"redis+sentinel://127.0.0.1:{self.sentinel.port}/{NAME}/0"
        return self

    def fail_over(self) -> None:
        """Wait until the replica is the master, for the Sentinel too."""
        asked = self.client(self.sentinel)
        wait_until(
            lambda: int(asked.sentinel_get_master_addr_by_name(NAME)[1]) == self.replica.port,
            "the replica becomes the master",
        )


class SentinelServer(RedisServer):
    """``redis-server CONFIG --sentinel``; a Sentinel has no snapshots."""

    def __init__(self, config: str) -> None:
        super().__init__("--sentinel")
        self.program_arguments = (config,)


class ClusterServers(_Shape):
    """Three masters, each with a third of the slots."""

    def __enter__(self) -> Self:
        self.servers = [
            self._start("--cluster-enabled", "yes", "--cluster-require-full-coverage", "no") for _ in range(3)
        ]
        self.clients = [self.client(server) for server in self.servers]
        bounds = [0, 5461, 10923, 16384]
        for client, first, end in zip(self.clients, bounds, bounds[1:], strict=False):
            client.execute_command("CLUSTER ADDSLOTSRANGE", first, end - 1)
        for number, (client, server) in enumerate(zip(self.clients, self.servers, strict=True)):
            client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
            self.clients[0].execute_command("CLUSTER MEET", "127.0.0.1", server.port)
        for client in self.clients:
            wait_until(lambda c=client: self._is_whole(c), "all nodes know all slots")
        self.ids = [client.execute_command("CLUSTER MYID") for client in self.clients]
        self.url = "redis+cluster://" + ",".join(f"127.0.0.1:{server.port}" for server in self.servers)
        return self

    @staticmethod
    def _is_whole(client: Redis) -> bool:
        info = client.execute_command("CLUSTER INFO")
        text = info if isinstance(info, str) else "\n".join(f"{k}:{v}" for k, v in info.items())
        return "cluster_state:ok" in text and "cluster_slots_assigned:16384" in text

    def begin_move(self, slot: int, source: int, target: int) -> None:
        """From here on the source answers ASK for keys that it does not have."""
        self.clients[target].execute_command("CLUSTER SETSLOT", slot, "IMPORTING", self.ids[source])
        self.clients[source].execute_command("CLUSTER SETSLOT", slot, "MIGRATING", self.ids[target])

    def end_move(self, slot: int, source: int, target: int) -> None:
        """Move the keys and the slot."""
        keys = self.clients[source].execute_command("CLUSTER GETKEYSINSLOT", slot, 1000)
        for key in keys:
            self.clients[source].execute_command(
                "MIGRATE", "127.0.0.1", self.servers[target].port, key, 0, 5000
            )
        for client in (self.clients[target], self.clients[source], *self.clients):
            client.execute_command("CLUSTER SETSLOT", slot, "NODE", self.ids[target])

    def move(self, slot: int, source: int, target: int) -> None:
        """Move a slot and what is in it."""
        self.begin_move(slot, source, target)
        self.end_move(slot, source, target)
