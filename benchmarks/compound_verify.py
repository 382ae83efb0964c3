"""How fast candidates are verified: unit tests in the sandbox, calls, and plain functions.

Everything runs on one processor, the sandbox's processes included. HumanEval's problems are taken
from the shared data, if they are there; else a small problem of ours stands in under another name.
CPU time counts this process and all of the sandbox, so it says more than a rate on a busy machine.

    python benchmarks/run.py --only compound_verify
"""

import asyncio
import gzip
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Figure, Kind
from parkade.compound.values import Candidate, Question
from parkade.compound.verify.function import FunctionVerifier
from parkade.compound.verify.python_tests import human_eval
from parkade.compound.verify.sandbox.jobs import CallJob, TestJob
from parkade.compound.verify.sandbox.pool import Sandbox

ROOT = Path(__file__).resolve().parents[1]
OWN_PROBLEM = TestJob(
    source="def total(xs):\n    return sum(xs)\n",
    prelude="",
    tests="def check(f):\n    assert f([1, 2]) == 3\n    assert f([]) == 0\n",
    names=("total",),
    check="check",
)
ONE_CALL = CallJob(source="def f(x): return x + 1", calls=(("f", (1,)),))


@dataclass(frozen=True, kw_only=True)
class Load:
    """How often each is done."""

    rounds: int
    problems: int
    calls: int
    starts: int
    interpreters: int
    products: int


FULL = Load(rounds=3, problems=164, calls=300, starts=5, interpreters=20, products=100_000)
QUICK = Load(rounds=1, problems=3, calls=3, starts=1, interpreters=1, products=100)


def figures(*, quick: bool) -> list[Figure]:
    """Everything of this file."""
    load = QUICK if quick else FULL
    with _one_processor():
        return asyncio.run(_figures(load))


async def _figures(load: Load) -> list[Figure]:
    jobs = problems()[: load.problems]
    named = "HumanEval" if len(problems()) == 164 else "a small problem of ours"
    tests = await _measured(load.rounds, lambda sandbox: _test_all(sandbox, jobs))
    idle = min(cpu for _, cpu in await _measured(load.rounds, _nothing))
    calls = await _measured(load.rounds, lambda sandbox: _call(sandbox, load.calls))
    starts = tuple([await _start_ms() for _ in range(load.starts)])
    return [
        _figure("human_eval", "/s", [len(jobs) / wall for wall, _ in tests], f"{named}, sandboxed"),
        _figure("human_eval_cpu", "ms", [1e3 * (cpu - idle) / len(jobs) for _, cpu in tests],
                "CPU of a verification, all processes"),
        _figure("interpreter", "/s", _interpreters(load.interpreters, jobs),
                "the same, a new `python -I` each, no sandbox"),
        _figure("call", "/s", [load.calls / wall for wall, _ in calls], "a call, sandboxed"),
        _figure("call_cpu", "ms", [1e3 * (cpu - idle) / load.calls for _, cpu in calls],
                "CPU of a call, all processes"),
        _figure("start", "ms", starts, "a room opened, walls tried, first call answered"),
        _figure("function", "/s", await _functions(load), "products checked by a Python function"),
    ]  # fmt: skip


def _figure(name: str, unit: str, values: list[float] | tuple[float, ...], what: str) -> Figure:
    return Figure(
        name=f"compound_verify.{name}",
        kind=Kind.DECISION,
        unit=unit,
        values=tuple(max(0.0, value) for value in values),
        what=what,
    )


def problems() -> list[TestJob]:
    """HumanEval with its canonical solutions, or ours."""
    told = os.environ.get("PARKADE_SHARED_DATA")
    folders = (
        [Path(told)] if told else [ROOT.parent / "shared/data", ROOT.parents[1] / "shared/data"]
    )
    for folder in folders:
        path = folder / "eval/HumanEval.jsonl.gz"
        if path.exists():
            with gzip.open(path, "rt", encoding="utf-8") as lines:
                return [_job(json.loads(line)) for line in lines]
    return [OWN_PROBLEM]


def _job(row: dict[str, str]) -> TestJob:
    question = Question(id=row["task_id"], prompt=row["prompt"], fields=row)
    return human_eval(question, row["canonical_solution"])


async def _measured(
    rounds: int, work: Callable[[Sandbox], Awaitable[None]]
) -> list[tuple[float, float]]:
    """Wall and CPU seconds of each round; the sandbox is opened anew, as CPU is known at its
    end."""
    found = []
    for _ in range(rounds):
        async with Sandbox(rooms=1) as sandbox:
            await sandbox.call(ONE_CALL)
            cpu = _cpu_seconds()
            began = time.perf_counter()
            await work(sandbox)
            wall = time.perf_counter() - began
        found.append((wall, _cpu_seconds() - cpu))
    return found


async def _nothing(sandbox: Sandbox) -> None:
    """What a room costs by itself."""


async def _test_all(sandbox: Sandbox, jobs: list[TestJob]) -> None:
    for job in jobs:
        outcome = await sandbox.test(job)
        assert outcome.is_passed, outcome.reason


async def _call(sandbox: Sandbox, count: int) -> None:
    for _ in range(count):
        await sandbox.call(ONE_CALL)


async def _start_ms() -> float:
    began = time.perf_counter()
    async with Sandbox(rooms=1) as sandbox:
        await sandbox.call(ONE_CALL)
        return 1e3 * (time.perf_counter() - began)


def _interpreters(count: int, jobs: list[TestJob]) -> list[float]:
    began = time.perf_counter()
    for job in jobs[:count]:
        text = f"{job.source}\n{job.tests}\ncheck({job.names[0]})\n"
        subprocess.run([sys.executable, "-I", "-c", text], check=True, stdout=subprocess.DEVNULL)
    return [min(count, len(jobs)) / (time.perf_counter() - began)]


async def _functions(load: Load) -> list[float]:
    def is_product(question: Question, candidate: Candidate) -> bool:
        one, _, other = candidate.text.partition("*")
        return bool(int(one) * int(other) == question.fields["n"])

    verifier = FunctionVerifier(is_product)
    question = Question(id="q", prompt="15?", fields={"n": 15})
    candidate = Candidate(text="3*5", model="m", sample=0, key="")
    found = []
    for _ in range(load.rounds):
        began = time.perf_counter()
        for _ in range(load.products):
            await verifier.verify(question, candidate)
        found.append(load.products / (time.perf_counter() - began))
    return found


def _cpu_seconds() -> float:
    """Of this process and of all its children that have ended."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


@contextmanager
def _one_processor() -> Iterator[None]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
