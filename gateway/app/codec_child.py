"""The codec process: does one piece of work after the other, and ends with the process that started it.

python -m gateway.app.codec_child
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, Final

from gateway.app import codec_frames as frames
from gateway.core.errors import GatewayError

# What the work needs: imported before the first of it comes.
from gateway.wire.oip import generate, json, proto_reuse  # noqa: F401 - see above

_LESS_URGENT: Final = 5


def main() -> None:
    """Work until there is no more."""
    # A terminal's Ctrl-C, and what is sent to the group, is for the process that started this one.
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.nice(_LESS_URGENT)
    work_in, answers_out = sys.stdin.buffer, sys.stdout.buffer
    with contextlib.suppress(frames.FrameError, OSError):
        while True:
            frames.write(answers_out, outcome(*frames.read(work_in)))


def outcome(work: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, tuple[str, str] | None]:
    """Return what the work returns, or the fault and the message of its error."""
    try:
        return work(*arguments), None
    except GatewayError as error:
        return None, (error.fault, error.message)
    except Exception as error:  # noqa: BLE001 - the one who asked has to know
        return None, ("internal", repr(error))


if __name__ == "__main__":
    main()
