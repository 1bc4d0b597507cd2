"""`edgeway serve`: one gateway, in this process or in several workers."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any, Final

from edge_models.threads import unfinished
from gateway.commands.arguments import add_command
from gateway.config.settings import load_settings
from gateway.telemetry.log_repeats import RepeatLimiter

EXAMPLES = """\
  edgeway serve settings.yaml
  REDIS_URL=redis://cache:6379/0 edgeway serve settings.yaml     where the file says ${REDIS_URL}

the least that a settings file must say (docs/operating.md has the rest; compose/ has whole ones):

  role: central                       or: role: edge
  region: home                            region: home
  models: {repository: models}            policy: policy.yaml

  models/NAME/VERSION/model.onnx is served on 127.0.0.1: HTTP 8000, gRPC 8001, admin 8002; a repository to
  try it with:  python -c 'from edge_models.samples import digits; print(digits.CENTRAL_REPOSITORY)'

signals: SIGTERM and SIGINT drain (finish what was accepted, exit 0); SIGHUP reloads the policy, the models'
certificates and the TLS files; what cannot be used stays as it was, and an edge tries it again when one of
them changes; with several workers it replaces them one by one, so that it reloads everything
"""

_LOG_FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def add_to(commands: Any) -> None:
    """Add `edgeway serve`."""
    parser = add_command(
        commands, "serve", _serve, about="run one gateway, role edge or central", examples=EXAMPLES
    )
    parser.add_argument(
        "settings", type=Path, metavar="SETTINGS.yaml", help="who it is and what it listens on"
    )
    # Only a parent writes it, for its workers.
    parser.add_argument("--inherit", default="", help=argparse.SUPPRESS)


def log_to_stderr(level: str) -> None:
    """Log from ``level`` on; what repeats only once a second."""
    output = logging.StreamHandler(sys.stderr)
    output.setFormatter(logging.Formatter(_LOG_FORMAT))
    logging.basicConfig(level=level.upper(), handlers=[RepeatLimiter(output)], force=True)


def _serve(options: argparse.Namespace) -> int:
    _take_signals()
    # Here, because no other command needs the gateway itself, nor the libraries that it stands on.
    import uvloop  # noqa: PLC0415 - see above

    from gateway.app.errors import StartError  # noqa: PLC0415 - see above

    settings = load_settings(options.settings)
    log_to_stderr(settings.telemetry.log_level)
    count = len(os.sched_getaffinity(0)) if settings.workers == "auto" else settings.workers
    try:
        if count > 1 and not options.inherit:
            from gateway.app.workers.supervisor import Supervisor  # noqa: PLC0415 - see above

            uvloop.run(Supervisor(options.settings, settings, count).run())
        else:
            from gateway.app.process import GatewayProcess  # noqa: PLC0415 - see above
            from gateway.app.workers.inheritance import Inheritance  # noqa: PLC0415 - see above

            inheritance = Inheritance.decode(options.inherit) if options.inherit else None
            uvloop.run(GatewayProcess(settings, inheritance).run())
            _leave_threads()
    except StartError as error:
        print(f"edgeway: {error}", file=sys.stderr)
        return 2
    return 0


def _take_signals() -> None:
    """Leave at once on SIGTERM and SIGINT, and stay on SIGHUP, until whoever serves takes the signals.

    To import what serves takes seconds on a busy machine. The default of SIGHUP would end the process, whose
    files are still unread; and the kernel drops a SIGTERM for process 1 of a container that handles none.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    signal.signal(signal.SIGHUP, lambda *_: None)


def _leave_threads() -> None:
    """End the process here when a model's run does not end: its thread may crash while Python ends."""
    if running := unfinished():
        logging.getLogger("edgeway").warning("left without %s, which does not end", ", ".join(running))
        logging.shutdown()
        sys.stdout.flush()
        os._exit(0)
