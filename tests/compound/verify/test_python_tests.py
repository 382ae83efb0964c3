import asyncio
import gzip
import json
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from parkade.compound.values import Question, Verdict
from parkade.compound.verify.exact import NoReference
from parkade.compound.verify.python_tests import (
    Contract,
    PythonTests,
    assemble,
    code_of,
    human_eval,
    mbpp,
    names_under_test,
)
from parkade.compound.verify.sandbox.errors import UnfitTests
from parkade.compound.verify.sandbox.limits import SECOND_US, Limits
from parkade.compound.verify.sandbox.pool import Sandbox
from tests.compound.verify.asking import candidate, question
from tests.compound.verify.sandbox.attack import OWN_PROCESSES
from tests.shared_data import shared_data

LIMITS = Limits(wall_us=120 * SECOND_US, cpu_seconds=30, memory_bytes=64 << 20, processes=8)
PROMPT = 'from typing import List\n\ndef total(xs: List[int]) -> int:\n    """Sum of xs."""\n'
RIGHT = "Sure:\n```python\ndef total(xs):\n    return sum(xs)\n```\n"
TESTS = "def check(candidate):\n    assert candidate([1, 2]) == 3\n    assert candidate([]) == 0\n"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    found = Sandbox(rooms=1, limits=LIMITS)
    yield found
    found.close()


def judged(
    runner: asyncio.Runner, sandbox: Sandbox, contract: Contract, asked: Question, text: str
) -> Verdict:
    return runner.run(PythonTests(sandbox, contract).verify(asked, candidate(text)))


@pytest.mark.parametrize(
    ("text", "is_accepted"),
    [
        ("    return sum(xs)\n", True),
        ("    return sum(xs[:1])\n", False),
        ("Sure:\n```python\ndef total(xs: List[int]) -> int:\n    return sum(xs)\n```\n", True),
        ("```\nfrom typing import List\ndef total(xs):\n    return len(xs)\n```", False),
        ("total = sum\n", True),
        ("    return sum(xs\n", False),
        ("", False),
        ("I cannot help with that.", False),
        (f"{RIGHT}Use it so:\n```python\nprint(total([1, 2]))\n```\n", True),
        (f"{RIGHT}```python\ndef test_total():\n    assert total([]) == 0\n```\n", True),
        (f"{RIGHT}No:\n```python\ndef total(xs):\n    return 0\n```\n", False),
        (f"<think>\n```python\ndef total(xs):\n    return 0\n```\n</think>\n{RIGHT}", True),
        (f"{RIGHT}</think>I do not know.", False),
    ],
)
def test_a_completion_or_a_whole_function_is_judged_by_the_tests(
    runner: asyncio.Runner, sandbox: Sandbox, text: str, is_accepted: bool
) -> None:
    asked = question(PROMPT, test=TESTS, entry_point="total")
    found = judged(runner, sandbox, human_eval, asked, text)
    assert found.is_accepted is is_accepted
    assert bool(found.reason) is not is_accepted


def test_the_failed_line_is_the_reason(runner: asyncio.Runner, sandbox: Sandbox) -> None:
    asked = question(PROMPT, test=TESTS, entry_point="total")
    found = judged(runner, sandbox, human_eval, asked, "    return 3\n")
    assert found.reason == "assert candidate([]) == 0"


MBPP = question(
    "Write a function to find shared elements.",
    test_list=[
        "assert set(similar((3, 4, 5), (5, 4))) == set((4, 5))",
        "assert math.isclose(LIMIT, 2.5)",
        "assert similar((1,), (2,)) == ()",
    ],
    test_setup_code="",
)


@pytest.mark.parametrize(
    ("text", "is_accepted"),
    [
        ("import math\nLIMIT = 2.5\ndef similar(a, b): return tuple(set(a) & set(b))", True),
        ("import math\nLIMIT = 2.6\ndef similar(a, b): return tuple(set(a) & set(b))", False),
        ("LIMIT = 2.5\ndef similar(a, b): return tuple(set(a) & set(b))", False),
        ("```python\nimport math\nLIMIT = 5 / 2\ndef similar(a, b):\n    return a[1:]\n```", True),
        ("def different(a, b): return ()", False),
    ],
)
def test_a_program_is_judged_by_the_assertions_of_mbpp(
    runner: asyncio.Runner, sandbox: Sandbox, text: str, is_accepted: bool
) -> None:
    assert judged(runner, sandbox, mbpp, MBPP, text).is_accepted is is_accepted


@pytest.mark.parametrize(
    ("setup", "tests", "names"),
    [
        ("", "assert f(g(1)) == [x for x in range(3)]", ("f", "g")),
        ("import math\nhelper = 1", "assert f(math.pi, helper)", ("f",)),
        ("", "for i in range(3):\n    assert f(i)\ndef h(a): return a\nassert h(f(1))", ("f",)),
        ("", "from x import y\nassert f(y)", ("f",)),
        ("", "assert (", ()),
    ],
)
def test_the_names_under_test_are_those_that_nothing_else_defines(
    setup: str, tests: str, names: tuple[str, ...]
) -> None:
    assert names_under_test(setup, tests) == names


@pytest.mark.parametrize(
    ("text", "program"),
    [
        ("    return 1\n", PROMPT + "    return 1\n"),
        ("```python\n    return 1\n```", PROMPT + "    return 1\n"),
        ("def total(xs): return 1", f"{PROMPT}\n\ndef total(xs): return 1"),
        ("def other(xs): return 1", PROMPT + "def other(xs): return 1"),
    ],
)
def test_a_program_is_put_together_from_prompt_and_answer(text: str, program: str) -> None:
    assert assemble(PROMPT, text, "total") == program


def test_a_whole_function_stands_alone_if_the_prompt_is_no_python() -> None:
    assert assemble("Write total.", "def total(x): pass", "total") == "def total(x): pass"


#: Code, tests of its `f`, and whether they pass.
HONEST: tuple[tuple[str, str, bool], ...] = (
    ("def f(x): x.sort()", "a = [2, 1]\nassert f(a) is None and a == [1, 2]", True),
    ("def f(x): x.clear(); x['a'] = 1", "a = {'b': 2}\nf(a)\nassert a == {'a': 1}", True),
    ("def f(x): x.add(2)", "a = {1}\nf(a)\nassert a == {1, 2}", True),
    ("def f(x): return x", "assert f(x=(1, 2)) == (1, 2) != [1, 2]", True),
    ("def f(x): return (i for i in x)", "assert list(f([1])) == [1] and f([1]) != [1]", True),
    ("def f(x): return 10 ** 50 + x", "assert f(1) == 10 ** 50 + 1", True),
    ("def f(x): return float('nan')", "a = f(1)\nassert a != a", True),
    ("def f(x): return True", "assert f(1) is True", True),
    ("def f(x): return 1", "assert f(1) is True", False),
    ("def f(x): return b'\\xff', 1j, None, range(3), frozenset({1})",
     "assert f(1) == (b'\\xff', 1j, None, range(3), frozenset({1}))", True),
    ("import collections\ndef f(x): return collections.Counter(x)",
     "assert f('aab') == {'a': 2, 'b': 1}", True),
    ("import collections\ndef f(x): return collections.OrderedDict(a=1)",
     "assert f(1) == {'a': 1}", True),
    ("def f(x): raise ValueError('bad')",
     "try: f(1)\nexcept ValueError as e: assert str(e) == 'bad'\nelse: assert 0", True),
    ("class Bad(KeyError): pass\ndef f(x): raise Bad('k')",
     "try: f(1)\nexcept KeyError as e: assert e.args == ('k',)\nelse: assert 0", True),
    ("def f(x): raise ValueError", "try: f(1)\nexcept KeyError: pass", False),
    ("def f(x): return '\\ud800'", "assert f(1) == '\\ud800'", True),
    ("def f(x): return x", "import sys\nsys.exit(0)", False),
    ("def f(x): return x", "raise SystemExit", False),
    ("def f(x): print('noise'); return x", "assert f(1) == 1", True),
    ("def f(x): return input()", "assert f(1)", False),
    ("def f(n): return n if n < 2 else f(n - 1) + f(n - 2)", "assert f(15) == 610", True),
    (("import threading, email.message\ndef f(x):\n    t = threading.Thread(target=int)\n"
     "    t.start(); t.join(); return x"), "assert f(1) == 1", True),
    ("import asyncio\ndef f(x): return asyncio.run(asyncio.sleep(0, x))",
     "assert f(1) == 1", True),
    (("import tempfile\ndef f(x):\n    with tempfile.TemporaryFile() as t:\n"
     "        t.write(b'a'); t.seek(0); return t.read()"), "assert f(1) == b'a'", True),
    (("from dataclasses import dataclass\n@dataclass\nclass P:\n    x: 'int'\n"
     "def f(x): return P(x).x"), "assert f(1) == 1", True),
)  # fmt: skip


@pytest.mark.parametrize(("source", "tests", "is_accepted"), HONEST)
def test_honest_code_meets_the_tests_as_if_they_were_in_one_process(
    runner: asyncio.Runner, sandbox: Sandbox, source: str, tests: str, is_accepted: bool
) -> None:
    asked = question("", test=f"def check(f):\n    pass\n{tests}", entry_point="f")
    found = judged(runner, sandbox, human_eval, asked, source)
    assert found.is_accepted is is_accepted, found


@pytest.mark.parametrize(
    ("tests", "why"),
    [
        ("def check(f): f(lambda: 1)", "the tests pass a value of type function to f"),
        ("def check(f: pass", "SyntaxError"),
    ],
)
def test_tests_that_cannot_be_run_are_an_error_and_no_rejection(
    runner: asyncio.Runner, sandbox: Sandbox, tests: str, why: str
) -> None:
    asked = question("", test=tests, entry_point="f")
    with pytest.raises(UnfitTests, match=why):
        judged(runner, sandbox, human_eval, asked, "def f(x): return x")


def test_a_question_without_tests_is_an_error(runner: asyncio.Runner, sandbox: Sandbox) -> None:
    with pytest.raises(NoReference, match="test"):
        judged(runner, sandbox, human_eval, question(entry_point="f"), "")


def test_code_beyond_the_bound_is_rejected(runner: asyncio.Runner, sandbox: Sandbox) -> None:
    asked = question(PROMPT, test=TESTS, entry_point="total")
    found = judged(runner, sandbox, human_eval, asked, "#" * (9 << 20))
    assert not found.is_accepted and "at most" in found.reason


def test_the_version_follows_contract_and_limits(sandbox: Sandbox) -> None:
    made = [
        PythonTests(sandbox, human_eval),
        PythonTests(sandbox, mbpp),
        PythonTests(sandbox, human_eval, limits=Limits()),
    ]
    assert len({one.version() for one in made}) == 3
    assert made[0].name == "python-tests-human-eval"


def human_eval_questions() -> list[tuple[Question, str]]:
    rows = shared_data("eval/HumanEval.jsonl.gz")
    with gzip.open(rows, "rt", encoding="utf-8") as lines:
        read = [json.loads(line) for line in lines]
    return [
        (
            Question(
                id=row["task_id"],
                prompt=row["prompt"],
                fields={"test": row["test"], "entry_point": row["entry_point"]},
            ),
            row["canonical_solution"],
        )
        for row in read
    ]


def test_every_canonical_solution_of_human_eval_passes(
    runner: asyncio.Runner, sandbox: Sandbox
) -> None:
    rows = human_eval_questions()
    failed = [
        asked.id
        for asked, solution in rows
        if not judged(runner, sandbox, human_eval, asked, solution).is_accepted
    ]
    assert len(rows) == 164
    assert failed == []


#: Bodies that are wrong for every function of HumanEval; what is planted runs at each call.
PLANTED = {
    "wrong": "    return None\n",
    "raises": "    raise ValueError\n",
    "ends": "    import os\n    os._exit(0)\n",
    "opens a socket": "    import socket\n    socket.create_connection(('127.0.0.1', 80))\n",
    "writes a file": "    open('/usr/planted', 'w').write('x')\n",
    "reads a secret": "    return open('/etc/shadow').read()\n",
    "eats memory": "    a = []\n    while True:\n        a.append(bytearray(1 << 24))\n",
    "forks": (
        "    import os\n    while True:\n        try:\n            os.fork()\n"
        "        except OSError:\n            os._exit(1)\n"
    ),
}


@pytest.mark.parametrize("kind", PLANTED)
@pytest.mark.parametrize("every", [20, pytest.param(1, marks=pytest.mark.slow)])
def test_what_is_planted_in_human_eval_is_rejected_everywhere(
    kind: str, every: int, runner: asyncio.Runner, sandbox: Sandbox
) -> None:
    rows = human_eval_questions()[::every]
    accepted = [
        asked.id
        for asked, _ in rows
        if judged(runner, sandbox, human_eval, asked, PLANTED[kind]).is_accepted
    ]
    assert accepted == []
    assert _processes(sandbox) <= OWN_PROCESSES


@pytest.mark.system
def test_endless_programs_in_human_eval_end_at_their_limit(
    runner: asyncio.Runner, sandbox: Sandbox
) -> None:
    limits = Limits(wall_us=120 * SECOND_US, cpu_seconds=1)
    verifier = PythonTests(sandbox, human_eval, limits=limits)
    for asked, _ in human_eval_questions()[:1]:
        found = runner.run(verifier.verify(asked, candidate("    while True: pass\n")))
        assert not found.is_accepted and "CPU time" in found.reason
    assert _processes(sandbox) <= OWN_PROCESSES


def _processes(sandbox: Sandbox) -> int:
    rooms = [psutil.Process(pid) for pid in sandbox.processes()]
    return sum(1 + len(room.children(recursive=True)) for room in rooms)


SEVERAL = """First what it needs:
```python
import math
print("an example")
def area(r):
    return half(math.pi) * 2 * r * r
def half(x):
    return x / 2
```
Then the function:
```python
def f(r):
    return round(area(r), 3)
```
It gives:
```python
f(1)
```
"""


def test_what_a_block_uses_comes_from_the_blocks_before_it() -> None:
    source = code_of(SEVERAL, ("f",))
    names: dict[str, Any] = {}
    exec(source, names)
    assert names["f"](1) == 3.142
    assert "an example" not in source and source.endswith("return round(area(r), 3)\n")
    alone = "```python\ndef f(r):\n    return r\n```\n"
    assert code_of(f"```python\nimport nowhere\n```\n{alone}", ("f",)) == code_of(alone, ("f",))


def test_a_block_that_defines_all_that_is_tested_is_taken_before_the_last() -> None:
    program = "def f(x):\n    return g(x)\n\n\ndef g(x):\n    return x\n"
    asked = question(test_list=["assert f(1) == 1", "assert g(2) == 2"])
    text = f"```python\n{program}```\nIn use:\n```python\nprint(f(1))\n```\n"
    assert mbpp(asked, text).source == program
