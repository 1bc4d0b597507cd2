"""What all workers inherit from their parent, and what the parent lets go of once they leave."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

from gateway.app.errors import StartError
from gateway.config.addresses import host_and_port
from gateway.config.settings import ListenSettings
from gateway.http.server.binding import bind


class Shared:
    """The listening sockets, and a pipe that workers watch: when it ends, the parent is leaving or gone.

    ``sockets``: listener → its socket. ``ports``: listener → its port. ``lifeline``: the read end of the
    pipe.
    """

    def __init__(self, sockets: Mapping[str, socket.socket]) -> None:
        self.sockets = sockets
        self.ports = {name: listening.getsockname()[1] for name, listening in sockets.items()}
        self.lifeline, self._ours = os.pipe()
        self.is_open = True

    def __repr__(self) -> str:
        return f"<Shared {'open' if self.is_open else 'closed'}, ports {self.ports}>"

    @classmethod
    def open(cls, settings: ListenSettings) -> Shared:
        """Bind the listeners of ``settings``.

        Raises:
            StartError: names the address that cannot be listened on.
        """
        sockets: dict[str, socket.socket] = {}
        for name, address in settings.client_addresses().items():
            try:
                sockets[name] = bind(*host_and_port(address), settings.transport.backlog)
            except OSError as error:
                for listening in sockets.values():
                    listening.close()
                raise StartError(f"cannot listen on {address}: {error.strerror or error}") from error
        return cls(sockets)

    def close(self) -> None:
        """Let go of everything; no worker can be started any more.

        Were the parent's copies of the sockets open for longer than the workers', clients would still get
        connections, which nobody accepts. The end of the lifeline tells each worker that all of them leave.
        """
        if not self.is_open:
            return
        self.is_open = False
        os.close(self._ours)
        os.close(self.lifeline)
        for listening in self.sockets.values():
            listening.close()
