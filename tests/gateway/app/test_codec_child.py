"""The codec process by itself: what it answers, and when it ends."""

from __future__ import annotations

import signal
import subprocess
import sys

from gateway.app import codec_frames as frames
from gateway.app.codec_child import outcome
from gateway.wire.oip.json import decode_request

COMMAND = (sys.executable, "-m", "gateway.app.codec_child")


def test_errors_are_values() -> None:
    """A refusal keeps its fault; a bug is reported to who asked."""
    assert outcome(decode_request, (b'{"inputs":[]}', None))[1] is None
    assert outcome(decode_request, (b"{", None))[1] == (
        "invalid",
        "failed to parse the request JSON: Input data was truncated",
    )
    assert outcome(int, ("x",))[1] == (
        "internal",
        "ValueError(\"invalid literal for int() with base 10: 'x'\")",
    )


def test_it_works_until_its_pipe_ends_whatever_signals_come() -> None:
    """A terminal's Ctrl-C is for the gateway, which may still have answers to give."""
    with subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        frames.write(child.stdin, (int, ("7",)))
        assert frames.read(child.stdout) == (7, None)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            child.send_signal(number)
        frames.write(child.stdin, (int, ("8",)))
        assert frames.read(child.stdout) == (8, None)
        child.stdin.close()
        assert child.wait(30) == 0
