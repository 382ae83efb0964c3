"""One question, a million candidates: sample, filter, run, group by behaviour, try ten.

The shape of AlphaCode 2 (Google DeepMind, 2023) with a small generator in place of a model:

1. Draw programs (`generator`), drop at once what cannot be right or was seen before (`filter`).
2. Run the rest in the sandbox on the public tests; note each result (`progress`).
3. Group those that pass by what they answer on inputs without known answers.
4. Try one program of each of the ten largest groups on the hidden tests.

Killed at any moment, it goes on where it was: the programs are drawn again, the noted results are
believed, and nothing that is in the file runs twice.

    python -m examples.million.solve build/million --programs 1000000
"""

import argparse
import asyncio
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from examples.million import generator, problem
from examples.million.filter import digest
from examples.million.progress import Progress
from parkade.compound.verify.clusters import BehaviourGroup, calls_in, cluster_by_behaviour
from parkade.compound.verify.sandbox.jobs import CallJob, Returned, TestJob
from parkade.compound.verify.sandbox.limits import Limits
from parkade.compound.verify.sandbox.pool import Sandbox

INPUTS = 20
TRIES = 10
REPORT_EVERY = 20_000
LIMITS = Limits(
    cpu_seconds=1, memory_bytes=64 << 20, processes=4, file_bytes=1 << 20, files=16,
    output_bytes=1 << 16,
)  # fmt: skip

Source = Callable[[int], str]


@dataclass(frozen=True, kw_only=True)
class Report:
    """How many programs were left after each step, and which try was right."""

    drawn: int
    #: Did not parse, did not use the input, or seen before.
    dropped_unrun: int
    run: int
    passed_public: int
    clusters: int
    largest: tuple[int, ...]
    #: From 1; None if none of the tries was right.
    solved_at_try: int | None
    solution: str | None

    @property
    def dropped_share(self) -> float:
        """Of all drawn, what went before the grouping."""
        return 1 - self.passed_public / self.drawn


class Sieve:
    """Draws programs in order and lets pass what is worth running."""

    def __init__(self, source: Source, count: int) -> None:
        self._source = source
        self._count = count
        self.dropped = 0

    def __iter__(self) -> Iterator[tuple[int, str]]:
        texts: set[int] = set()
        forms: set[int] = set()
        for index in range(self._count):
            text = self._source(index)
            if hash(text) not in texts:
                texts.add(hash(text))
                form = digest(text)
                if form is not None and form not in forms:
                    forms.add(form)
                    yield index, text
                    continue
            self.dropped += 1


async def solve(
    folder: Path, *, run: str, source: Source, count: int, rooms: int | None = None
) -> Report:
    """All steps; goes on from what `folder` holds. `run` names the settings that `source` stands
    for.

    Raises `OtherRun` if the folder belongs to other settings.
    """
    async with Sandbox(rooms=rooms, limits=LIMITS) as sandbox:
        with Progress(folder / "progress", f"{run}, {count} programs") as progress:
            sieve = Sieve(source, count)
            programs = iter(sieve)
            workers = rooms or 4
            await asyncio.gather(*(_work(sandbox, programs, progress) for _ in range(workers)))
            passed = sorted(index for index, is_passed in progress.results.items() if is_passed)
        clusters = await _group(sandbox, source, passed)
        tried = await _try(sandbox, source, clusters[:TRIES])
    return Report(
        drawn=count,
        dropped_unrun=sieve.dropped,
        run=len(progress.results),
        passed_public=len(passed),
        clusters=len(clusters),
        largest=tuple(len(cluster.members) for cluster in clusters[:TRIES]),
        solved_at_try=tried,
        solution=None if tried is None else source(clusters[tried - 1].members[0]),
    )


async def _work(sandbox: Sandbox, programs: Iterator[tuple[int, str]], progress: Progress) -> None:
    for index, text in programs:
        if index % REPORT_EVERY == 0:
            print(f"{index:>9,} drawn, {len(progress.results):,} run", file=sys.stderr)
        if index not in progress.results:
            progress.note(index, await passes_public_tests(sandbox, text))


async def passes_public_tests(sandbox: Sandbox, text: str) -> bool:
    """The program answers in the sandbox; its answers are compared here, out of its reach."""
    calls = tuple((problem.ENTRY_POINT, (given,)) for given, _ in problem.PUBLIC)
    outcome = await sandbox.call(CallJob(source=text, calls=calls))
    expected = tuple(Returned(data=answer) for _, answer in problem.PUBLIC)
    return outcome.answers == expected


async def _group(sandbox: Sandbox, source: Source, passed: list[int]) -> list[BehaviourGroup[int]]:
    run = calls_in(sandbox, problem.ENTRY_POINT)
    return await cluster_by_behaviour(
        passed, problem.inputs(INPUTS), lambda index, inputs: run(source(index), inputs)
    )


async def _try(sandbox: Sandbox, source: Source, clusters: list[BehaviourGroup[int]]) -> int | None:
    """The number of the first try that passes the hidden tests."""
    for number, cluster in enumerate(clusters, start=1):
        job = TestJob(
            source=source(cluster.members[0]),
            prelude="",
            tests=problem.HIDDEN,
            names=(problem.ENTRY_POINT,),
            check="check",
        )
        if (await sandbox.test(job)).is_passed:
            return number
    return None


def main(arguments: list[str] | None = None) -> int:
    """Prints the report, and writes it beside the progress; 1 if no try was right."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="for progress and report; a run goes on there")
    parser.add_argument("--programs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--rooms", type=int, help="sandboxes; default one for each processor")
    asked = parser.parse_args(arguments)
    began = time.monotonic()
    source = partial(generator.program, asked.seed)
    work = solve(
        asked.folder,
        run=f"seed {asked.seed}",
        source=source,
        count=asked.programs,
        rooms=asked.rooms,
    )
    report = asyncio.run(work)
    (asked.folder / "report.json").write_text(json.dumps(asdict(report), indent=2) + "\n", "utf-8")
    print(shown(report, time.monotonic() - began))
    return 0 if report.solved_at_try else 1


def shown(report: Report, seconds: float) -> str:
    """The report as a table."""
    own, rooms = (
        resource.getrusage(who).ru_maxrss / 1024
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    lines = {
        "drawn": f"{report.drawn:,}",
        "dropped before the sandbox": f"{report.dropped_unrun:,}",
        "run on the public tests": f"{report.run:,}",
        "passed them": f"{report.passed_public:,}",
        "dropped in all": f"{100 * report.dropped_share:.2f} %",
        "groups by behaviour": f"{report.clusters:,}, largest {list(report.largest)}",
        "right at try": str(report.solved_at_try or "none"),
        "time": f"{seconds:,.0f} s",
        "memory": f"{own:.0f} MiB, and at most {rooms:.0f} MiB in a process of a sandbox",
    }
    table = "\n".join(f"{name:<28}{value}" for name, value in lines.items())
    return f"{table}\n\n{report.solution or ''}"


if __name__ == "__main__":
    sys.exit(main())
