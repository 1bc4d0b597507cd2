"""Let every reader read every case, and write the table: ``python -m tests.framing > docs/framing.md``."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime

from tests.framing import readers, table

INTRODUCTION = """# Framing: what everybody reads

Requests that two servers in a row could read as two different things, and what each server makes of them.
Behind every case stands one more request, so that a server that reads a case as longer, shorter or two shows
it. A cell tells how the case was read (200, with its body, and its method and target where they are not the
case's own) or how it was refused; *closed* is a refusal without a word, *waits* is a server that wants more.
The last column is what reached Edgeway through nginx, or what nginx said itself.

What must hold, and is tested in `tests/framing` at every run: our column is as the cases say
(`tests/fakes/framing_cases.py`); a request that we accept is, with everybody who accepts it, the same method,
target and body, and ends in the same place; and whatever reaches us through nginx is what nginx sent.
"""


def main() -> None:
    """Write the page."""
    rows = asyncio.run(table.read_all())
    if not readers.nginx_binary():
        print(table.NO_NGINX, file=sys.stderr)
    refused = sum(row.case.status != 200 for row in rows)
    print(INTRODUCTION)
    for (case, name), reason in table.EXCEPTIONS.items():
        print(f"- Exception, *{case}* with {name}: {reason}.")
    print(
        f"\n{len(rows)} cases, {refused} of them refused. Made on {datetime.now(UTC):%Y-%m-%d} by "
        "`python -m tests.framing > docs/framing.md`.\n"
    )
    print(table.markdown(rows), end="")


if __name__ == "__main__":
    main()
