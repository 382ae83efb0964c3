"""A call beside the program's loop."""

import threading

import pytest

from parkade.mars.aside import Aside
from tests.waits import until


def test_one_call_at_a_time_is_made_and_its_answer_taken_once() -> None:
    may_end, calls = threading.Event(), [0]

    def call() -> int:
        assert may_end.wait(120)
        calls[0] += 1
        return calls[0]

    aside = Aside(call)
    aside.start()
    aside.start()
    assert aside.take() is None
    may_end.set()
    assert until(aside.take) == 1
    assert (aside.take(), calls) == (None, [1])
    aside.start()
    assert until(aside.take) == 2


def test_what_a_call_raised_is_raised_where_its_answer_is_taken() -> None:
    aside = Aside(lambda: 1 // 0)
    aside.start()
    with pytest.raises(ZeroDivisionError):
        until(aside.take)
