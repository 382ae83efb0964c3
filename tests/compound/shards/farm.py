"""A sharded run in a folder: its files, its workers as processes, and what they did."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from parkade.cli.compound.submit import prepare
from parkade.compound.loading import load
from parkade.compound.questions import read_questions
from parkade.compound.run.budget import Budget
from parkade.compound.run.running import Settings, run
from parkade.compound.shards.board import Board
from parkade.compound.shards.folder import SharedFolder
from parkade.compound.shards.progress import read
from parkade.compound.shards.state import State

K = 8
RULES = """
import asyncio
import os

async def guess(call):
    "Right for sample 3 of each question; every call is noted, before it is answered."
    note = os.open(os.environ["CALLS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(note, (call.key + "\\n").encode())
    os.close(note)
    await asyncio.sleep(float(os.environ.get("PAUSE", "0")))
    asked = int(call.body.decode().split('"content":"')[1].split('"')[0].split()[-1])
    return str(asked * 7 if call.sample == 3 else call.sample)

def right(question, candidate):
    return candidate.text == str(question.fields["answer"])
"""
NETWORK = """
models:
  m: {function: "rules.py:guess", concurrency: 4, price: {input: 1, output: 1}}
verifiers:
  check: {function: "rules.py:right"}
network: "8B(E@m(m=4))@check(parallel=1)"
"""


class Farm:
    """Everything in one temporary folder."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder = folder
        self.network = folder / "net.yaml"
        self.questions = folder / "questions.jsonl"
        self.out = folder / "out"
        self.calls = folder / "calls"
        self.rules = folder / "rules.py"
        self.rules.write_text(RULES)
        self.network.write_text(NETWORK)
        rows = ({"prompt": f"times 7: {n}", "answer": n * 7} for n in range(1, count + 1))
        self.questions.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def prepare(self, *, shard_size: int | None = None, budget: Budget | None = None) -> None:
        prepare(self.out, self.network, self.questions, shard_size, budget or Budget())

    def worker(
        self, *flags: str, pause: float = 0.0, **environment: str
    ) -> "subprocess.Popen[str]":
        """A worker as a node runs it; end it in the test."""
        command = (sys.executable, "-m", "parkade.cli", "compound", "worker", str(self.out))
        return subprocess.Popen(
            [*command, *flags],
            env={**os.environ, "CALLS": str(self.calls), "PAUSE": str(pause), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def called(self) -> Counter[str]:
        """How often each call was made."""
        return Counter(self.calls.read_text().split()) if self.calls.exists() else Counter()

    def state(self) -> State:
        """As the log says."""
        folder = SharedFolder(self.out)
        return Board(folder.log, folder.read().shards, "test").state

    def results(self, out: Path | None = None) -> list[dict[str, Any]]:
        """The merged results in their order."""
        lines = ((out or self.out) / "results.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def without_marketplace(self, calls: Path) -> list[tuple[str, str, bool]]:
        """What one ordinary run over the same questions answers."""
        loaded = load(self.network)
        out = self.folder / "plain"
        os.environ["CALLS"] = str(calls)
        questions = read_questions(self.questions)
        run(loaded.network, questions, names=loaded.names, out=out, settings=Settings())
        return told(self.results(out))


def told(results: list[dict[str, Any]]) -> list[tuple[str, str, bool]]:
    """What a result says of its question, by id."""
    return sorted((row["id"], row["answer"], row["accepted"]) for row in results)


def ends(worker: "subprocess.Popen[str]", timeout: float = 120.0) -> tuple[int, str]:
    """Its exit status and what it printed, without how far the run was."""
    printed, _ = worker.communicate(timeout=timeout)
    lines = printed.splitlines(keepends=True)
    rest = [line for line in lines if read(line.rstrip()) is None]
    assert len(lines) > len(rest), "it said how far it is"
    return worker.returncode, "".join(rest)
