"""From a line written to a node's kernel log until its verdict is told: real programs, real files.

    python benchmarks/mars_latency.py [LINES]

*Agent*: a server as `parkade up` starts it, whose own pool's agent follows one log a node. Counted
until the verdict is in the journal on disk, as another reader of the file sees it. *Alone*:
`parkade mars run` with as many logs, observing. Counted until it tells the verdict, after which
the drain and the alert follow.

Each of LINES nodes gets one line, at instants that know nothing of the rounds. A fatal line
(Xid 79) is judged when it is read. A degraded one (Xid 63) waits for its coalescing window, which
is taken off: 0 would be a verdict at the very end of the window. The rounds are the programs'
defaults, and those of the demo.

*Since judged* is the last part of the way: from the instant of the judgement, which a verdict
carries (the close of its window; for a fatal one, when its line was read), until it is in the
journal, or told. It leaves out the wait for the next look at the logs.
"""

import itertools
import json
import os
import random
import select
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import yaml

from benchmarks.service import pool, served
from parkade.core.units.time import SECOND_US
from parkade.mars.policy_file import shipped_policy
from parkade.mars.pool_file import NAME

FATAL = "NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus."
COALESCED = "NVRM: Xid (PCI:0000:3b:00): 63, pid=1, Row Remapper: New row marked for remapping"
LINES = {"fatal": FATAL, "coalesced": COALESCED}
AGENT_EVERY, ALONE_EVERY = ("5s", "250ms"), ("15s", "250ms")
WATCHED = "SELECT sequence, type, body FROM journal WHERE sequence > ? ORDER BY sequence"
READY_S, SPREAD_S, PATIENCE_S, LOOK_S = 60.0, 20.0, 60.0, 0.005
MAIN = "from parkade.cli import main; main()"


class News(NamedTuple):
    """A node whose verdict was told; `since_judged` seconds ago it was judged, where that is
    known."""

    node: str
    since_judged: float | None = None


class Taken(NamedTuple):
    """Seconds of each verdict until it is told, by kind of line."""

    since_written: dict[str, list[float]]
    since_judged: dict[str, list[float]]


def main() -> None:
    """Prints the median, the 99 % and the worst of each."""
    lines = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    window_s = shipped_policy().windows.coalesce_us / SECOND_US
    for title, found in itertools.chain(_each_agent(lines), _each_alone(lines)):
        for kind, taken in found.since_written.items():
            _tell(
                f"{title}, {kind}", [it - (window_s if kind == "coalesced" else 0) for it in taken]
            )
        for kind, taken in found.since_judged.items():
            _tell(f"{title}, {kind}, since judged", taken)


def _tell(title: str, taken: list[float]) -> None:
    if not taken:
        return
    past = sorted(taken)
    tail = past[min(len(past) - 1, int(len(past) * 0.99))]
    print(
        f"{title}: median {past[len(past) // 2]:.3f} s, 99 % {tail:.3f} s, worst {past[-1]:.3f} s"
        f" of {len(past)} (load {os.getloadavg()[0]:.1f})",
        flush=True,
    )


def _each_agent(lines: int) -> Iterator[tuple[str, Taken]]:
    for every in AGENT_EVERY:
        yield f"agent, rounds of {every}", agent(lines, every=every)


def _each_alone(lines: int) -> Iterator[tuple[str, Taken]]:
    for every in ALONE_EVERY:
        yield f"alone, rounds of {every}", alone(lines, every=every)


def agent(lines: int, *, every: str) -> Taken:
    """How long each verdict takes until it is in the journal."""
    with served() as stage:
        logs = _logs(stage.folder / "kernel", lines)
        folder = stage.folder / "data" / "pools" / "bench"
        folder.mkdir(parents=True, mode=0o700)
        nodes = {node: {"kernel_log": str(log)} for node, log in logs.items()}
        text = yaml.safe_dump({"format": 1, "every": every, "nodes": nodes})
        (folder / NAME).write_text(text)
        (folder / NAME).chmod(0o600)
        stage.operator.create_pool(pool(site="local", fabrics={"a": list(logs)}, gpus=1))
        stage.until(
            "the agent follows every log",
            lambda: len(stage.operator.get_mars().sensors) == len(logs),
            seconds=READY_S,
        )
        (file,) = (stage.folder / "data").glob("*.sqlite3")
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as journal:
            return _played(logs, _in_journal(journal))


def _in_journal(journal: sqlite3.Connection) -> Iterator[News | None]:
    """Verdicts as they appear; None where there is no news."""
    (last,) = journal.execute("SELECT max(sequence) FROM journal").fetchone()
    while True:
        for sequence, kind, body in journal.execute(WATCHED, (last,)).fetchall():
            last = sequence
            if kind == "VerdictGiven":
                told = json.loads(body)
                at_s = told["verdict"]["at_us"] / SECOND_US
                yield News(told["node"], time.time() - at_s)
        yield None
        time.sleep(LOOK_S)


def alone(lines: int, *, every: str) -> Taken:
    """How long each verdict takes until it is told."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        logs = _logs(folder / "kernel", lines)
        nodes = [{"node": node, "kernel_log": str(log)} for node, log in logs.items()]
        file = folder / "run.yaml"
        listen = {"format": 1, "listen": "127.0.0.1:0", "every": every, "nodes": nodes}
        file.write_text(yaml.safe_dump(listen))
        words = [sys.executable, "-c", MAIN, "mars", "run", "--config", str(file)]
        program = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert program.stdout is not None
        os.set_blocking(program.stdout.fileno(), False)
        try:
            told = _told(program.stdout.fileno())
            _await_start(told)
            taken = _played(logs, told)
        finally:
            program.terminate()
            program.wait()
            program.stdout.close()
    # The name of a verdict holds when its first symptom came, which is when its window began.
    window_s = shipped_policy().windows.coalesce_us / SECOND_US
    judged = taken.since_judged
    return taken._replace(
        since_judged={**judged, "coalesced": [it - window_s for it in judged["coalesced"]]}
    )


def _told(descriptor: int) -> Iterator[News | None]:
    """Verdicts as the program tells them, of no node for any other line; None: no news."""
    rest = b""
    while True:
        if not select.select([descriptor], [], [], LOOK_S)[0]:
            yield None
            continue
        *whole, rest = (rest + os.read(descriptor, 1 << 16)).split(b"\n")
        for line in whole:
            words = dict(word.partition("=")[::2] for word in line.decode().split())
            judged = words.get("verdict", "").rpartition("@")[2]
            since = time.time() - int(judged) / SECOND_US if judged.isdecimal() else None
            yield News("" if since is None else words.get("node", ""), since)


def _await_start(told: Iterator[News | None]) -> None:
    until = time.monotonic() + READY_S
    while next(told) is None:
        if time.monotonic() > until:
            raise SystemExit("`parkade mars run` does not start")


def _logs(folder: Path, lines: int) -> dict[str, Path]:
    """An empty log for each node."""
    folder.mkdir()
    logs = {f"n{number}": folder / f"n{number}" for number in range(lines)}
    for log in logs.values():
        log.touch()
    return logs


def _played(logs: Mapping[str, Path], told: Iterator[News | None]) -> Taken:
    """Writes each log's line at its instant; what each verdict took."""
    chance = random.Random(1)
    began = time.time()
    due = sorted((began + chance.random() * SPREAD_S, node) for node in logs)
    kinds = {node: tuple(LINES)[number % len(LINES)] for number, (_, node) in enumerate(due)}
    written: dict[str, float] = {}
    taken = Taken({kind: [] for kind in LINES}, {kind: [] for kind in LINES})
    until = began + SPREAD_S + PATIENCE_S
    while sum(map(len, taken.since_written.values())) < len(logs):
        now = time.time()
        while due and due[0][0] <= now:
            _, node = due.pop(0)
            written[node] = _write(logs[node], LINES[kinds[node]])
        news = next(told)
        if news is not None and news.node in written:
            kind = kinds[news.node]
            taken.since_written[kind].append(time.time() - written.pop(news.node))
            if news.since_judged is not None:
                taken.since_judged[kind].append(news.since_judged)
        if now > until:
            raise SystemExit(f"never told: {sorted(written)}")
    return taken


def _write(log: Path, line: str) -> float:
    """With a stamp as the journal's; when."""
    now = time.time()
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f+00:00")
    with log.open("a") as file:
        file.write(f"{stamp} {log.name} kernel: {line}\n")
    return now


if __name__ == "__main__":
    main()
