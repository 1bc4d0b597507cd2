"""Why a process does not start."""

from __future__ import annotations


class StartError(Exception):
    """The process cannot start; the message names the file or the address and says what to do."""
