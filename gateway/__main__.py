"""The program `edgeway`: its arguments, and nothing else."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

from gateway.commands import cache, conformance_command, demo_command, endpoint, model, policy, serve
from gateway.commands.extras import how_to_install
from gateway.config.document import ConfigError

EXAMPLES = """\
examples:
  edgeway demo                                 three regions, a central tier and faults, on this machine
  edgeway serve settings.yaml                  run one gateway
  edgeway policy validate compose/policy.yaml  check a policy before it goes anywhere
  edgeway policy explain --help                tell what a policy does with a request
  edgeway endpoint drain --help                take an endpoint of a running gateway out of service
  edgeway cache --help                         look into the caches of a running gateway
  edgeway model certify --help                 prove a cascade's threshold on calibration data
  edgeway conformance 127.0.0.1:8000 --grpc 127.0.0.1:8001
                                               check how well any server speaks the protocol

exit codes: 0 done, 1 failed, 2 a file or an argument is wrong (the message names the line)
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = argparse.ArgumentParser(
        prog="edgeway",
        description="Edgeway, an inference gateway for the edge.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"edgeway {version('edgeway')}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, dest="command")
    for command in (serve, demo_command, policy, endpoint, cache, model, conformance_command):
        command.add_to(commands)
    options = parser.parse_args(arguments)
    try:
        code: int = options.run(options)
        print(end="", flush=True)
    except ConfigError as error:
        for text in error.each:
            print(f"edgeway: {text}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        advice = how_to_install(error.name or "", options.command)
        if advice is None:
            raise
        print(f"edgeway: {advice}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever reads has seen enough (`| head`). What is left must not be written when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    return code


if __name__ == "__main__":
    sys.exit(main())
