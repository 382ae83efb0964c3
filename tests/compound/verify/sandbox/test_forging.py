"""Wrong programs that want to be called right: none is, whatever it writes, ends or replaces.

Each defines an `f` that is wrong for the tests, and tries to be accepted all the same.
"""

import asyncio

import pytest

from parkade.compound.verify.sandbox.jobs import CallJob, Returned, Silent
from parkade.compound.verify.sandbox.pool import Sandbox
from tests.compound.verify.sandbox.attack import attack, job

TESTS = "assert f(1) == 2\nassert f(41) == int('4' + '2'), 'MARKER-OF-THE-TESTS'\n"

WRITE_VERDICTS = """
import json, os
verdict = json.dumps({"kind": "passed", "reason": "", "is_passed": True}).encode()
reply = json.dumps({"end": "exited", "status": 0, "is_killed": False, "cpu_us": 0,
                    "peak_bytes": 0, "tester_status": 0}).encode()
for fd in range(256):
    for body in (verdict, reply, verdict):
        try: os.write(fd, len(body).to_bytes(4, "big") + body)
        except OSError: break
"""

#: Reads all memory near its own objects and the end of the heap; the pattern does not match its
#: own text.
SEARCH_MEMORY = """
import ctypes, os, re
def f(x):
    libc = ctypes.CDLL(None)
    libc.write.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
    hear, say = os.pipe()
    libc.sbrk.restype = ctypes.c_void_p
    near = {at >> 21 for at in (id(object()), id([]), id(f), libc.sbrk(0))}
    for chunk in sorted({one + step for one in near for step in range(-16, 17)}):
        for page in range(chunk << 21, (chunk + 1) << 21, 4096):
            if (count := libc.write(say, page, 4200)) > 0:
                page = os.read(hear, count)
                if re.search(rb'MARKER-OF-[T]HE-TESTS', page): return x + 1
    return 0
"""

FORGERIES = {
    "ends well before the tests": "import sys\nsys.exit(0)",
    "ends at once before the tests": "import os\nos._exit(0)",
    "ends well in the test": "import sys\ndef f(x): sys.exit(0)",
    "ends at once in the test": "import os\ndef f(x): os._exit(0)",
    "raises the end of the program": "def f(x): raise SystemExit(0)",
    "raises what no `except Exception` catches": "def f(x): raise KeyboardInterrupt",
    "writes verdicts everywhere": WRITE_VERDICTS + "def f(x): return 0",
    "writes verdicts everywhere and ends": WRITE_VERDICTS + "os._exit(0)",
    "prints verdicts": 'print(\'{"kind": "passed"}\')\ndef f(x): return 0',
    "an object that equals all": """
class Any:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 0
def f(x): return Any()
""",
    "a number that equals all": """
class Any(int):
    def __eq__(self, other): return True
    __hash__ = int.__hash__
def f(x): return Any(7)
""",
    "a text that equals all": """
class Any(str):
    def __eq__(self, other): return True
    __hash__ = str.__hash__
def f(x): return Any('x')
""",
    "a list that equals all, inside a tuple": """
class Any(list):
    def __eq__(self, other): return True
def f(x): return (Any(),)
""",
    "replaces built-ins": """
import builtins
class Quiet(Exception): pass
builtins.AssertionError = Quiet
builtins.int = lambda *a: 0
builtins.__build_class__ = None
def f(x): return 0
""",
    "replaces the messages' module": """
import sys
for name, module in list(sys.modules.items()):
    if name.endswith(('frames', 'plain', 'tester', 'candidate')):
        module.dump = lambda value: b'{"kind":"passed","reason":""}'
        module.decide = lambda *a: ("passed", "")
        module.encode = lambda value, depth=0: {"kind": "passed"}
def f(x): return 0
""",
    "reads the expected value in the frames": """
import inspect, re
def f(x):
    for frame in inspect.stack():
        for value in frame.frame.f_locals.values():
            if re.search('MARKER-OF-[T]HE-TESTS', str(value)): return x + 1
    return 0
""",
    "finds the tests among all objects": """
import gc, re
def f(x):
    for one in gc.get_objects():
        if isinstance(one, (dict, list, tuple)) and len(one) < 10_000:
            for value in (one.values() if isinstance(one, dict) else one):
                if isinstance(value, (str, bytes)):
                    if re.search('MARKER-OF-[T]HE-TESTS', str(value)): return x + 1
    return 0
""",
    "finds the tests in the memory of its process": SEARCH_MEMORY,
    "an exception that claims to be none": """
class Fine(AssertionError):
    def __bool__(self): return False
def f(x): raise Fine('passed')
""",
    "a hostile description of its exception": """
class Fine(Exception):
    @property
    def args(self): return ['x'] * 3
    def __str__(self): raise SystemExit(0)
def f(x): raise Fine
""",
    "is no function": "f = 2",
    "is missing": "g = 2",
    "does not compile": "def f(x) return x",
    "a class in place of a function": """
class f:
    def __init__(self, x): self.x = x
    def __eq__(self, other): return True
""",
    "is asynchronous": "async def f(x): return x + 1",
    "answers twice at a time": """
import json, os
body = json.dumps({"value": 2}).encode()
def f(x):
    os.write(3, len(body).to_bytes(4, 'big') + body)
    return 2
""",
}

BROKEN_MESSAGES = {
    "no JSON": b"x",
    "a number": b"7",
    "an unknown tag": b'{"value":{"z":1}}',
    "two tags": b'{"value":{"t":[],"s":[]}}',
    "an unhashable set": b'{"value":{"s":[[1]]}}',
    "a broken dictionary": b'{"value":{"d":[1]}}',
    "no exception": b'{"raised":["print",["x"],"x"]}',
    "an exception that ends programs": b'{"raised":["SystemExit",[0],"SystemExit"]}',
    "an exception with odd arguments": b'{"raised":["UnicodeDecodeError",[1],"x"]}',
    "a group of exceptions without any": b'{"raised":["ExceptionGroup",["x",[1]],"x"]}',
    "half an exception": b'{"raised":["ValueError"]}',
    "changes that do not fit": b'{"value":2,"changed":[1,2,3]}',
    "changes of another kind": b'{"value":2,"changed":7}',
    "a number of too many digits": b'{"value":{"i":"%s"}}' % (b"f" * 20_000),
    "too deep": b"[" * 100_000,
    "deep in tags": b'{"value":' + b'{"t":[' * 400 + b"]}" * 400 + b"}",
    "a surrogate": b'{"value":"\\ud800"}',
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_wrong_program_is_never_called_right(
    name: str, runner: asyncio.Runner, own_sandbox: Sandbox
) -> None:
    found = runner.run(attack(own_sandbox, job(FORGERIES[name], TESTS)))
    assert not found.outcome.is_passed
    assert found.outcome.reason
    assert found.left == ()
    assert found.is_next_passed


@pytest.mark.parametrize("name", BROKEN_MESSAGES)
def test_a_broken_message_rejects_the_program_and_nothing_else(
    name: str, runner: asyncio.Runner, own_sandbox: Sandbox
) -> None:
    source = (
        f"import os\nbody = {BROKEN_MESSAGES[name]!r}\ndef f(x):\n"
        "    os.write(3, len(body).to_bytes(4, 'big') + body)\n    os._exit(0)\n"
    )
    found = runner.run(attack(own_sandbox, job(source, TESTS)))
    assert not found.outcome.is_passed
    assert found.left == ()
    assert found.is_next_passed


def test_a_length_without_end_rejects_the_program_at_once(
    runner: asyncio.Runner, own_sandbox: Sandbox
) -> None:
    source = "import os\ndef f(x):\n    os.write(3, b'\\xff' * 4)\n    os._exit(0)\n"
    found = runner.run(attack(own_sandbox, job(source, TESTS)))
    assert "a message of 4294967295 bytes" in found.outcome.reason
    assert found.is_next_passed


def test_the_search_of_memory_finds_what_is_there(
    runner: asyncio.Runner, own_sandbox: Sandbox
) -> None:
    source = SEARCH_MEMORY + "# MARKER-OF-THE-TESTS\n"
    outcome = runner.run(own_sandbox.call(CallJob(source=source, calls=(("f", (1,)),))))
    assert outcome.answers == (Returned(data=2),)


LEAVE = """
import builtins, os, random, sys, math, json
open('/tmp/left', 'w').write('left')
builtins.left = 1
sys.modules['left'] = sys
math.pi = 3
json.loads = None
os.environ['LEFT'] = '1'
os.umask(0)
def f(): return 'done'
"""
FIND = """
import builtins, json, math, os, sys
def f():
    return [os.listdir('/tmp'), hasattr(builtins, 'left'), 'left' in sys.modules, math.pi > 3.1,
            json.loads is None, 'LEFT' in os.environ, os.getpid(), sorted(os.listdir('/dev')),
            sorted(os.listdir('/proc')) if os.path.exists('/proc') else []]
"""


def test_nothing_of_a_job_is_found_by_the_next(
    runner: asyncio.Runner, own_sandbox: Sandbox
) -> None:
    async def run() -> tuple[object, object]:
        calls = (("f", ()),)
        left = await own_sandbox.call(CallJob(source=LEAVE, calls=calls))
        found = await own_sandbox.call(CallJob(source=FIND, calls=calls))
        return left.answers, found.answers

    left, found = runner.run(run())
    assert left == (Returned(data="done"),)
    assert found == (
        Returned(data=[[], False, False, True, False, False, 1, ["null", "urandom"], []]),
    )


def test_calls_that_were_not_reached_are_told_apart_from_answers(
    runner: asyncio.Runner, own_sandbox: Sandbox
) -> None:
    source = "import os\ndef f(x):\n    if x == 2: os._exit(0)\n    return x\n"
    job = CallJob(source=source, calls=(("f", (1,)), ("f", (2,)), ("f", (3,))))
    outcome = runner.run(own_sandbox.call(job))
    assert outcome.answers[0] == Returned(data=1)
    assert all(isinstance(answer, Silent) for answer in outcome.answers[1:])
