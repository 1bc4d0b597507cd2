"""What repeats is logged once a second, with a count."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator

import pytest

from gateway.telemetry.log_repeats import RepeatLimiter


class Lines(logging.Handler):
    """Keeps what it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def texts(self) -> list[str]:
        return [record.getMessage() for record in self.records]


class Seconds:
    """A clock that a test moves, with what is to be called later."""

    def __init__(self) -> None:
        self.now = 100.0
        self.calls: list[tuple[float, Callable[[], None]]] = []

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self.calls.append((self.now + seconds, call))

    def pass_by(self, seconds: float) -> None:
        self.now += seconds
        due = [each for each in self.calls if each[0] <= self.now]
        self.calls = [each for each in self.calls if each not in due]
        for _, call in due:
            call()


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def lines() -> Lines:
    return Lines()


@pytest.fixture
def log(lines: Lines, seconds: Seconds) -> Iterator[logging.Logger]:
    """A logger whose records come to ``lines``."""
    limiter = RepeatLimiter(lines, now=lambda: seconds.now, later=seconds.later)
    log = logging.getLogger("some.thing")
    log.setLevel(logging.DEBUG)
    log.propagate = False
    log.addHandler(limiter)
    yield log
    log.handlers.clear()
    limiter.close()


def fail(log: logging.Logger, message: str = "a call failed", *, how: type[Exception] = ValueError) -> None:
    try:
        if how is KeyError:
            raise KeyError("here")
        raise how("there")
    except Exception:
        log.exception(message)


def test_error_that_repeats(log: logging.Logger, lines: Lines, seconds: Seconds) -> None:
    """The first is shown at once with its traceback, the number of the others after a second, and so on."""
    for _ in range(4212):
        fail(log)
    assert lines.texts == ["a call failed"]
    assert lines.records[0].exc_info

    seconds.pass_by(1.0)
    assert lines.texts[1:] == ["a call failed … and 4,211 more like it in the last second"]
    assert not lines.records[1].exc_info
    assert lines.records[1].levelno == logging.ERROR
    assert lines.records[1].name == "some.thing"

    seconds.pass_by(1.0)
    assert len(lines.texts) == 2
    assert not seconds.calls
    for _ in range(3):
        fail(log)
    seconds.pass_by(1.0)
    assert lines.texts[2:] == ["a call failed", "a call failed … and 2 more like it in the last second"]


def test_another_exception_is_another_kind(log: logging.Logger, lines: Lines, seconds: Seconds) -> None:
    """By its type and by the line that raised it; messages that name a task or a request are one kind."""
    for index in range(100):
        fail(log, f"request {index} failed")
        fail(log, f"request {index} failed", how=KeyError)
        fail(log, f"request {index} failed", how=TypeError)
    seconds.pass_by(1.0)

    assert lines.texts[:3] == ["request 0 failed"] * 3
    assert lines.texts[3:] == ["request 0 failed … and 99 more like it in the last second"] * 3


def test_messages_that_differ(log: logging.Logger, lines: Lines, seconds: Seconds) -> None:
    """Of one kind without a traceback five are shown that differ: a few models, endpoints or files."""
    for _ in range(2):
        for name in "abcdefg":
            log.warning("model %s is refused", name)
    seconds.pass_by(1.0)

    assert lines.texts[:5] == [f"model {name} is refused" for name in "abcde"]
    assert lines.texts[5:] == ["model a is refused … and 9 more like it in the last second"]


def test_information_is_not_limited(log: logging.Logger, lines: Lines) -> None:
    """Whoever turns on the debug log wants all of it."""
    for _ in range(20):
        log.info("ready")
        log.debug("a connection ends")
    assert len(lines.texts) == 40


def test_memory_is_bounded(log: logging.Logger, lines: Lines, seconds: Seconds) -> None:
    """Messages without end, each of its own kind, are one kind beyond 64, and forgotten after a second."""
    for index in range(10_000):
        log.error(f"{index} is wrong")  # noqa: G004 - as others write it
    assert 64 < len(lines.texts) < 80
    assert "of 65 kinds" in repr(log.handlers[0])

    seconds.pass_by(1.0)

    assert "more like it in the last second" in lines.texts[-1]
    log.error("again")
    assert "of 1 kinds" in repr(log.handlers[0])


def test_objects_as_messages(log: logging.Logger, lines: Lines, seconds: Seconds) -> None:
    """An exception as the message, as some libraries have it."""
    for _ in range(3):
        log.error(ValueError("x"))
        log.error(["y"])
    seconds.pass_by(1.0)
    assert lines.texts[:2] == ["x", "['y']"]
    assert len(lines.texts) == 4


def test_end_of_the_process(log: logging.Logger, lines: Lines) -> None:
    """What is still to be told is told before the log closes."""
    for _ in range(3):
        log.error("wrong")
    log.handlers[0].flush()
    assert lines.texts == ["wrong", "wrong … and 2 more like it in the last second"]


def test_count_comes_by_itself(log: logging.Logger, lines: Lines) -> None:
    """In a thread that does not hold up the end of the process, from any number of threads."""
    limiter = RepeatLimiter(lines)
    log.handlers[:] = [limiter]
    shown = threading.Event()
    lines.addFilter(lambda record: "more like it" not in record.getMessage() or shown.set() or True)

    threads = [threading.Thread(target=lambda: [log.error("wrong") for _ in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert shown.wait(30)
    assert all(thread.daemon for thread in threading.enumerate() if isinstance(thread, threading.Timer))
    limiter.close()


def test_record_that_cannot_be_rendered_harms_nobody(
    lines: Lines, seconds: Seconds, capsys: pytest.CaptureFixture[str]
) -> None:
    """A library's mistake in a call to its log does not end what it was doing; it is shown as logging does."""
    limiter = RepeatLimiter(lines, now=lambda: seconds.now, later=seconds.later)
    for arguments in ((1,), (1,), (1, 2)):
        limiter.handle(logging.LogRecord("a", logging.ERROR, "", 1, "%d of %d", arguments, None))

    assert "Message: '%d of %d'" in capsys.readouterr().err
    assert lines.texts == ["1 of 2"]
