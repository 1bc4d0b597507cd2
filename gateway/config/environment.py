"""Values of the environment that are not in the settings: credentials that a policy names."""

from __future__ import annotations

import os


def from_environment(name: str) -> str:
    """Return the value of a variable; empty: there is none."""
    return os.environ.get(name, "")  # noqa: TID251 - here
