"""How often threads take turns."""

from __future__ import annotations

import sys
import threading

import pytest

from gateway.app.switching import OFTEN_S, switching_often


def test_others_wait_less_while_it_lasts() -> None:
    """Afterwards all is as before, also where the work failed."""
    usual = sys.getswitchinterval()
    with switching_often():
        assert sys.getswitchinterval() == pytest.approx(OFTEN_S)
    assert sys.getswitchinterval() == usual
    with pytest.raises(ZeroDivisionError), switching_often():
        _ = 1 / 0
    assert sys.getswitchinterval() == usual


def test_the_last_of_several_puts_it_back() -> None:
    """Whichever ends first."""
    usual = sys.getswitchinterval()
    begun, go_on = threading.Event(), threading.Event()

    def work() -> None:
        with switching_often():
            begun.set()
            go_on.wait()

    with switching_often():
        other = threading.Thread(target=work)
        other.start()
        begun.wait()
    assert sys.getswitchinterval() == pytest.approx(OFTEN_S)
    go_on.set()
    other.join()
    assert sys.getswitchinterval() == usual
