"""Reads one large policy in a process of its own, which ends then.

python -m gateway.app.policy_child FILE REGION <its content >what gateway.app.policy_reader takes
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import IO, Final

from gateway.app.policy_reader import pack
from gateway.config.document import ConfigError
from gateway.config.policy_file import parse_policy

_LESS_URGENT: Final = 5


def main(arguments: list[str], content: IO[bytes], answer: IO[bytes]) -> None:
    """Read ``content``, which is that of a policy file, and write what it is, or what is wrong with it."""
    file, region = arguments
    with contextlib.suppress(OSError):
        os.nice(_LESS_URGENT)
    try:
        found = parse_policy(Path(file), content.read(), region)
    except ConfigError as error:
        answer.write(pack(error))
    else:
        answer.write(pack(found))


if __name__ == "__main__":
    main(sys.argv[1:], sys.stdin.buffer, sys.stdout.buffer)
