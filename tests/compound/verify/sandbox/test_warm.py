"""What a job finds in a process that was warm before: no more than it should."""

import asyncio
import errno

import pytest

from parkade.compound.verify.sandbox.inside import kernel
from parkade.compound.verify.sandbox.jobs import CallJob, Returned
from parkade.compound.verify.sandbox.pool import Sandbox

LOOK = """
import os, sys
def is_open(number):
    try: os.fstat(number)
    except OSError: return False
    return True
def f():
    own = sys.modules[__name__]
    return [
        [number for number in range(1 << 12) if is_open(number)],
        [name for name, one in sys.modules.items() if one is not own and hasattr(one, 'f')],
        'random' in sys.modules,
    ]
"""
DRAW = "import random\ndef f(): return [random.random(), random.getrandbits(64)]\n"


def call(runner: asyncio.Runner, sandbox: Sandbox, source: str) -> object:
    [answer] = runner.run(sandbox.call(CallJob(source=source, calls=(("f", ()),)))).answers
    assert isinstance(answer, Returned), answer
    return answer.value()


def test_a_candidate_has_its_channel_and_nothing_of_the_rehearsal(
    runner: asyncio.Runner, own_sandbox: Sandbox
) -> None:
    assert call(runner, own_sandbox, LOOK) == [[0, 1, 2, 3], [], False]


def test_no_two_jobs_draw_the_same_numbers(runner: asyncio.Runner, own_sandbox: Sandbox) -> None:
    drawn = [call(runner, own_sandbox, DRAW) for _ in range(3)]
    assert len({str(one) for one in drawn}) == 3


def test_a_call_that_the_kernel_refuses_is_named_and_ends_the_row() -> None:
    with pytest.raises(OSError, match="setns") as found:
        kernel.make([kernel.joining(-1, kernel.CLONE_NEWNS), kernel.going_to(b"/nonexistent")])
    assert found.value.errno == errno.EBADF
