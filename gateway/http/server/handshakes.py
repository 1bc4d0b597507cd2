"""The end of a listening socket without a lost connection, whoever shares the socket.

A socket that is simply closed resets what its queue holds, and what comes between the last look at the queue
and the close. So first no new handshake begins: the kernel drops the first packet of each, and the client
sends it again a second later, to be refused. Those under way end in the queue, from where they are accepted.
"""

from __future__ import annotations

import ctypes
import re
import socket
import struct
from contextlib import suppress
from pathlib import Path
from typing import Final

_SO_ATTACH_FILTER: Final = 26
_FLAGS_OFFSET, _SYN, _SYN_ACK = 13, 0x02, 0x12
_ALL: Final = 0xFFFF_FFFF
_PROGRAM: Final = b"".join(
    struct.pack("HBBI", *instruction)
    for instruction in (
        (0x30, 0, 0, _FLAGS_OFFSET),  # load the byte of the TCP header that holds its flags
        (0x54, 0, 0, _SYN_ACK),  # of these only SYN and ACK count
        (0x15, 0, 1, _SYN),  # the first packet of a handshake has the one without the other
        (0x06, 0, 0, 0),  # drop it
        (0x06, 0, 0, _ALL),  # let everything else pass, for connections inherit this program
    )
)
"""A classic BPF program, which needs no privilege: for TCP sockets a packet begins with the TCP header."""

_TABLES: Final = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))


def refuse_handshakes(listening: socket.socket) -> bool:
    """Let no handshake begin on ``listening`` any more, in no process that shares it.

    Return whether that was possible: it is where the kernel is Linux and the socket one of TCP.
    """
    if listening.family not in {socket.AF_INET, socket.AF_INET6}:
        return False
    program = ctypes.create_string_buffer(_PROGRAM)
    described = struct.pack("HP", len(_PROGRAM) // 8, ctypes.addressof(program))
    try:
        listening.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, described)
    except OSError:
        return False
    return True


def has_handshakes(port: int) -> bool:
    """Whether handshakes with ``port`` are under way; it blocks while it looks at all sockets."""
    under_way = re.compile(rb":%04X [0-9A-F]+:[0-9A-F]{4} 03 " % port)
    for table in _TABLES:
        with suppress(OSError):
            if under_way.search(table.read_bytes()):
                return True
    return False


def stop_listening(listening: socket.socket) -> None:
    """Stop ``listening`` for every process that shares it; what its queue still holds is reset."""
    with suppress(OSError):
        listening.shutdown(socket.SHUT_RDWR)
