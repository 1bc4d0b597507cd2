"""What repeats is logged once a second, with a count: a fault of every request must not fill the disk."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable
from typing import Final

WINDOW_S: Final = 1.0
_TEXTS: Final = 5
_MOST_KINDS: Final = 64


class _Repeats:
    """Records of one kind since ``began``. ``texts``: those shown. ``more``: how many were not."""

    __slots__ = ("began", "first", "more", "texts")

    def __init__(self, first: logging.LogRecord, began: float) -> None:
        self.first = logging.LogRecord(
            first.name, first.levelno, first.pathname, first.lineno, first.getMessage(), None, None
        )
        self.began, self.more = began, 0
        self.texts: set[str] = {self.first.msg}


class RepeatLimiter(logging.Handler):
    """Hands records on to ``target``; of warnings and errors of one kind that repeat only a few in a second.

    With a traceback the kind is its exception and line, and one is shown; else it is the message before its
    arguments are put in, and five that differ are shown. The first is shown at once, and the number of those
    that were not when the second is over. Of more than 64 kinds in a second, the rest of each logger is one.

    Args:
        now: returns seconds that only grow.
        later: calls something after so many seconds, in any thread.
    """

    def __init__(
        self,
        target: logging.Handler,
        *,
        now: Callable[[], float] = time.monotonic,
        later: Callable[[float, Callable[[], None]], None] | None = None,
    ) -> None:
        super().__init__()
        self._target, self._now, self._later = target, now, later or _later
        self._kinds: dict[Hashable, _Repeats] = {}
        self._is_due = False

    def __repr__(self) -> str:
        return f"<RepeatLimiter of {len(self._kinds)} kinds, before {self._target!r}>"

    def emit(self, record: logging.LogRecord) -> None:
        """Hand ``record`` on, or count it; what is wrong with it is not the one's who logs, as everywhere."""
        try:
            self._emit(record)
        except Exception:  # noqa: BLE001 - logging's own way
            self.handleError(record)

    def _emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.WARNING:
            self._target.handle(record)
            return
        now = self._now()
        self._report(now - WINDOW_S)
        kind = self._kind(record)
        repeats = self._kinds.get(kind)
        if repeats is None:
            self._kinds[kind] = _Repeats(record, now)
            self._target.handle(record)
        elif self._is_new(repeats, record):
            self._target.handle(record)
        else:
            repeats.more += 1
            self._report_soon()

    def flush(self) -> None:
        """Show every count now."""
        with self._locked():
            self._report(self._now())
        self._target.flush()

    def _kind(self, record: logging.LogRecord) -> Hashable:
        # What is no text may not be hashable, and libraries log exceptions as messages.
        what: Hashable = record.msg if isinstance(record.msg, str) else type(record.msg).__name__
        if record.exc_info and record.exc_info[0] is not None:
            what = (record.exc_info[0], _line(record))
        kind = (record.name, record.levelno, what)
        is_known = kind in self._kinds or len(self._kinds) < _MOST_KINDS
        return kind if is_known else (record.name, record.levelno)

    def _is_new(self, repeats: _Repeats, record: logging.LogRecord) -> bool:
        """Whether the text of ``record`` was not shown, and may be."""
        if record.exc_info or len(repeats.texts) >= _TEXTS:
            return False
        text = record.getMessage()
        if text in repeats.texts:
            return False
        repeats.texts.add(text)
        return True

    def _report_soon(self) -> None:
        if not self._is_due:
            self._is_due = True
            self._later(WINDOW_S, self._report_later)

    def _report_later(self) -> None:
        with self._locked():
            self._is_due = False
            self._report(self._now() - WINDOW_S)
            if any(repeats.more for repeats in self._kinds.values()):
                self._report_soon()

    def _report(self, until: float) -> None:
        """Forget the kinds that began before ``until``, and show how many of each were not shown."""
        for kind, repeats in list(self._kinds.items()):
            if repeats.began > until:
                # Each is put in when it begins, so those behind it are younger.
                return
            del self._kinds[kind]
            if repeats.more:
                record = repeats.first
                record.msg = f"{record.msg} … and {repeats.more:,} more like it in the last second"
                self._target.handle(record)

    def _locked(self) -> threading.RLock:
        assert self.lock is not None
        return self.lock


def _line(record: logging.LogRecord) -> Hashable:
    """Return where the exception of ``record`` was raised."""
    trace = record.exc_info[2] if record.exc_info else None
    if trace is None:
        return None
    while trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_frame.f_code.co_filename, trace.tb_lineno


def _later(seconds: float, call: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, call)
    timer.daemon = True
    timer.start()
