"""Signals that an operator or the engine sends to the trainers of an attempt, by a file.

Slurm's own way would send them to each process of a step, data loaders and launchers too.
"""

from pathlib import Path

import msgspec

from parkade.engines.local import processes, programs, records
from parkade.engines.local.gang import number_of

FILE = "signals.json"
MOST_KEPT = 16


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """One signal; numbers count up from 1."""

    number: int
    name: str


def read(home: Path) -> tuple[Sent, ...]:
    """The last few, in order."""
    content = records.read_bounded(home / FILE)
    try:
        return () if content is None else msgspec.json.decode(content, type=tuple[Sent, ...])
    except msgspec.DecodeError:
        return ()


def add(home: Path, name: str) -> None:
    """Sends another one."""
    sent = read(home)
    number = sent[-1].number + 1 if sent else 1
    records.write(home / FILE, (*sent, Sent(number=number, name=name))[-MOST_KEPT:], mode=0o644)


def deliver(pid: int, name: str) -> None:
    """To the trainers of a rank."""
    number = number_of(name)
    for trainer in programs.trainers(pid, (number,)):
        processes.send(trainer.pid, trainer.start_ticks, number)
