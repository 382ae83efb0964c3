"""A tester serves several jobs; none of them meets what another was, said or left."""

import asyncio
from typing import Any

import msgspec
import psutil
import pytest

from parkade.compound.verify.sandbox.inside import tester
from parkade.compound.verify.sandbox.inside.jail import MOST_KEPT
from parkade.compound.verify.sandbox.jobs import TestOutcome
from parkade.compound.verify.sandbox.limits import Limits
from parkade.compound.verify.sandbox.pool import Sandbox
from tests.compound.verify.sandbox.attack import HONEST, PATIENT, job

PLAIN = "assert f(1) == 2\n"
LEAVING = """
import builtins, math, sys, os
builtins.left = 1
math.pi = 3
sys.setrecursionlimit(77)
open('/tmp/left', 'w').write('left')
os.chdir('/usr')
assert f(1) == 2
"""
FINDING = """
import builtins, math, sys, os
assert not hasattr(builtins, 'left')
assert math.pi > 3.1 and sys.getrecursionlimit() > 77
assert os.listdir('/tmp') == [] and os.getcwd() == '/tmp'
assert f(1) == 2
"""


def serve(
    runner: asyncio.Runner, sandbox: Sandbox, source: str, tests: str, limits: Limits = PATIENT
) -> TestOutcome:
    return runner.run(sandbox.test(job(source, tests), limits))


def kept_tester(sandbox: Sandbox) -> int | None:
    """The one process that the zygote keeps between two jobs."""
    [room] = map(psutil.Process, sandbox.processes())
    [zygote] = room.children()
    kept = zygote.children()
    assert len(kept) <= 1
    return kept[0].pid if kept else None


def test_a_tester_serves_as_many_jobs_as_it_has_channels(
    runner: asyncio.Runner, own_sandbox: Sandbox
) -> None:
    found = []
    for _ in range(3 * MOST_KEPT):
        assert serve(runner, own_sandbox, HONEST, PLAIN).is_passed
        found.append(kept_tester(own_sandbox))
    served = [found.count(one) for one in dict.fromkeys(found) if one is not None]
    assert 2 <= len(served) <= 4 and max(served) < MOST_KEPT - len(tester.Ways._fields)


@pytest.mark.parametrize(
    ("tests", "is_passed"), [(LEAVING, True), ("import math\nassert f(1) == 3\n", False)]
)
def test_tests_that_may_leave_something_end_their_process(
    tests: str, is_passed: bool, runner: asyncio.Runner, own_sandbox: Sandbox
) -> None:
    assert serve(runner, own_sandbox, HONEST, tests).is_passed is is_passed
    assert kept_tester(own_sandbox) is None
    assert serve(runner, own_sandbox, HONEST, FINDING).is_passed


def test_another_limit_means_another_tester(runner: asyncio.Runner, own_sandbox: Sandbox) -> None:
    assert serve(runner, own_sandbox, HONEST, PLAIN).is_passed
    before = kept_tester(own_sandbox)
    other = msgspec.structs.replace(PATIENT, open_files=60)
    assert serve(runner, own_sandbox, HONEST, PLAIN, other).is_passed
    assert kept_tester(own_sandbox) not in (None, before)


def test_a_tester_that_died_while_idle_is_replaced(
    runner: asyncio.Runner, own_sandbox: Sandbox
) -> None:
    assert serve(runner, own_sandbox, HONEST, PLAIN).is_passed
    before = kept_tester(own_sandbox)
    assert before is not None
    psutil.Process(before).kill()
    assert serve(runner, own_sandbox, HONEST, PLAIN).is_passed
    assert kept_tester(own_sandbox) not in (None, before)


#: Writes answers for calls to come, far more than one job asks for, and lives on or not.
EARLY = """
import json, os
body = json.dumps({"ready": {"f": "function"}}).encode()
answer = json.dumps({"value": 2}).encode()
os.set_blocking(3, False)
try:
    for one in (body, *[answer] * 50):
        os.write(3, len(one).to_bytes(4, 'big') + one)
except OSError: pass
def f(x): return 0
"""


@pytest.mark.parametrize("end", ["", "os._exit(0)\n", "import time; time.sleep(1e6)\n"])
def test_answers_that_were_written_early_are_never_those_of_the_next_candidate(
    end: str, runner: asyncio.Runner, own_sandbox: Sandbox
) -> None:
    two = "assert f(1) == 2\nassert f(41) == 42\n"
    for _ in range(3):
        assert not serve(runner, own_sandbox, EARLY + end, two).is_passed
        wrong = serve(runner, own_sandbox, "def f(x): return 0\n", PLAIN)
        assert not wrong.is_passed and wrong.reason == "assert f(1) == 2"
        assert serve(runner, own_sandbox, HONEST, two).is_passed


def test_a_candidate_that_makes_the_tester_grow_costs_it_and_no_other_job(
    runner: asyncio.Runner, own_sandbox: Sandbox
) -> None:
    limits = msgspec.structs.replace(PATIENT, output_bytes=32 << 20)
    assert serve(runner, own_sandbox, HONEST, PLAIN, limits).is_passed
    large = "def f(x): return list(range(1 << 20))\n"
    assert not serve(runner, own_sandbox, large, PLAIN, limits).is_passed
    assert kept_tester(own_sandbox) is None
    assert serve(runner, own_sandbox, HONEST, PLAIN, limits).is_passed


def test_a_name_that_is_a_module_is_imported_in_no_tester_that_goes_on(
    runner: asyncio.Runner, own_sandbox: Sandbox
) -> None:
    tests: dict[str, Any] = {"source": "import colorsys as f\n", "tests": "assert f\n"}
    assert serve(runner, own_sandbox, **tests).is_passed
    assert kept_tester(own_sandbox) is None


def test_each_candidate_is_judged_by_its_own_tests_and_answers(
    runner: asyncio.Runner, own_sandbox: Sandbox
) -> None:
    for n in range(100):
        right, wrong = f"def f(x): return x + {n}\n", f"def f(x): return x + {n + 1}\n"
        tests = f"assert f(0) == {n}, 'not {n}'\n"
        assert serve(runner, own_sandbox, right, tests).is_passed
        assert f"not {n} " in serve(runner, own_sandbox, wrong, tests).reason


#: Tests that know the ways of their process: they tell the zygote themselves that they are done,
#: and that their process may go on.
STAYING = """
import builtins, os, struct, sys
builtins.left = 1
frame = sys._getframe()
while 'ways' not in frame.f_locals: frame = frame.f_back
ways, number = frame.f_locals['ways'], frame.f_locals['number']
body = b'{"kind":"passed","reason":""}'
os.write(ways.verdict, len(body).to_bytes(4, 'big') + body)
os.write(ways.done, struct.pack('=QB', number, 0))
while True: pass
"""


def test_tests_cannot_keep_their_process_for_the_next_job(
    runner: asyncio.Runner, own_sandbox: Sandbox
) -> None:
    serve(runner, own_sandbox, HONEST, STAYING)
    assert not own_sandbox.processes() or kept_tester(own_sandbox) is None
    assert serve(runner, own_sandbox, HONEST, FINDING).is_passed
