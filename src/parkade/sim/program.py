"""How a simulated program behaves: written in its command, as a real program is.

    simulated start=20 work=3600 save=15 every=900 fail=- linger=0

All spans are seconds. `start`: from the launch to the first process. `work`: how long it has to run
over all attempts. `save`: how long it saves when it is told to leave; `-`: it does not save, and
TERM ends it; `deaf`: TERM does not end it either. `every`: between two reported checkpoints; `-`:
none. `fail`: it fails once, after so much running. `linger`: how long after KILL its GPUs are still
held. `joins`, where it is there: of the ranks that join while it runs each so-many-th never begins.
"""

import msgspec

from parkade.core.units.time import SECOND_US

WORD = "simulated"


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """See the module; spans are microseconds, None is `-`."""

    start_us: int
    work_us: int
    save_us: int | None
    every_us: int | None
    fail_us: int | None
    linger_us: int
    is_deaf: bool

    never_begins: int = 0
    """Of ranks that join, each so-many-th does not begin; 0: all do."""

    def command(self) -> str:
        """The command that behaves so."""
        fields = {
            "start": _seconds(self.start_us),
            "work": _seconds(self.work_us),
            "save": "deaf" if self.is_deaf else _seconds(self.save_us),
            "every": _seconds(self.every_us),
            "fail": _seconds(self.fail_us),
            "linger": _seconds(self.linger_us),
        }
        if self.never_begins:
            fields["joins"] = str(self.never_begins)
        return " ".join((WORD, *(f"{name}={value}" for name, value in fields.items())))


def program_of(command: str) -> Program:
    """The program of a command; one that this simulation did not write runs for an hour."""
    word, *rest = command.split(" ")
    if word != WORD:
        return program_of(f"{WORD} start=1 work=3600 save=- every=- fail=- linger=0")
    fields = dict(field.split("=") for field in rest)
    return Program(
        start_us=_us(fields["start"]) or 0,
        work_us=_us(fields["work"]) or 0,
        save_us=None if fields["save"] == "deaf" else _us(fields["save"]),
        every_us=_us(fields["every"]),
        fail_us=_us(fields["fail"]),
        linger_us=_us(fields["linger"]) or 0,
        is_deaf=fields["save"] == "deaf",
        never_begins=int(fields.get("joins", "0")),
    )


def _seconds(span_us: int | None) -> str:
    return "-" if span_us is None else str(span_us // SECOND_US)


def _us(text: str) -> int | None:
    return None if text == "-" else int(text) * SECOND_US
