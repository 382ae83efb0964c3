"""What a job leaves in the memory that the next is forked with: nothing that was said in it.

A candidate reads all memory of its process that it can, and looks for words of the jobs before it.
The patterns do not match their own text.
"""

import asyncio

from parkade.compound.verify.sandbox.jobs import CallJob, Returned, TestJob
from parkade.compound.verify.sandbox.pool import Sandbox

#: Reads all writable memory, found by asking the kernel which pages can be read: a write of a page
#: that is not there is refused.
SEARCH = """
import ctypes, os, re
def f():
    libc = ctypes.CDLL(None)
    libc.write.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
    libc.sbrk.restype = ctypes.c_void_p
    hear, say = os.pipe()
    objects = [object(), [], f, libc, 'x' * 600, b'x' * 40_000, b'x' * 400_000]
    near = {at >> 21 for at in (*map(id, objects), libc.sbrk(0))}
    found = set()
    for chunk in sorted({one + step for one in near for step in range(-16, 17)}):
        for page in range(chunk << 21, (chunk + 1) << 21, 4096):
            if (count := libc.write(say, page, 4200)) > 0:
                found |= set(re.findall(rb'WORD-[O]F-[A-Z]+', os.read(hear, count)))
    return sorted(found)
"""
LEAVING = "def f(x):\n    return ['WORD-OF-ANSWER', x][x == 1]\n# WORD-OF-CODE\n"


def _search(sandbox: Sandbox, runner: asyncio.Runner, extra: str = "") -> object:
    outcome = runner.run(sandbox.call(CallJob(source=SEARCH + extra, calls=(("f", ()),))))
    [answer] = outcome.answers
    assert isinstance(answer, Returned), answer
    return answer.value()


def test_the_search_finds_what_is_there(runner: asyncio.Runner, own_sandbox: Sandbox) -> None:
    assert _search(own_sandbox, runner, "# WORD-OF-CODE") == [b"WORD-OF-CODE"]


def test_code_of_an_earlier_candidate_is_not_in_the_memory_of_the_next(
    runner: asyncio.Runner, own_sandbox: Sandbox
) -> None:
    tests = "assert f(1) == 1\nassert f(2) == 'WORD-OF-' + 'TESTS'\n"
    job = TestJob(source=LEAVING, prelude="", tests=tests, names=("f",), check=None)
    for _ in range(3):
        assert not runner.run(own_sandbox.test(job)).is_passed
    assert _search(own_sandbox, runner) == []


def test_a_failed_line_of_tests_is_not_in_the_memory_of_the_next_candidate(
    runner: asyncio.Runner, own_sandbox: Sandbox
) -> None:
    tests = "assert f(2) == 0, 'WORD-OF-TESTS'\n"
    job = TestJob(source="def f(x): return 1", prelude="", tests=tests, names=("f",), check=None)
    for _ in range(3):
        assert "WORD-OF-TESTS" in runner.run(own_sandbox.test(job)).reason
    assert _search(own_sandbox, runner) == []


def test_arguments_and_answers_of_earlier_calls_are_not_in_the_memory_of_the_next_candidate(
    runner: asyncio.Runner, own_sandbox: Sandbox
) -> None:
    calls = (("f", (2,)), ("f", ("WORD-OF-ARGUMENTS",)))
    for _ in range(3):
        outcome = runner.run(own_sandbox.call(CallJob(source=LEAVING, calls=calls)))
        assert outcome.answers[0] == Returned(data="WORD-OF-ANSWER")
    assert _search(own_sandbox, runner) == []
