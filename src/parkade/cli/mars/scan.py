"""`parkade mars scan`: one look at one node or one file."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parkade.cli.calling import AsJson, explaining, fail, warn
from parkade.cli.exit_codes import MARS_CANNOT
from parkade.cli.mars.choose import PolicyOption, policy_from
from parkade.cli.mars.show import LEVEL_STYLES, evidence_line

if TYPE_CHECKING:
    from parkade.core.healing.verdict import Verdict
    from parkade.mars.scanning import MachineScan, Scan

MOST_SHOWN = 40
MOST_MACHINES_SHOWN = 100
MOST_OTHERS = 5
WIDE = 110
MOST_UNKNOWN_SHOWN = 5
PATIENCE_S = 2.0
"""A sensor that takes longer is named on stderr; each of them has a bound of its own."""


def scan(
    kernel_log: Annotated[
        Path | None, typer.Option(help="A recorded kernel log; - is stdin.")
    ] = None,
    dcgm: Annotated[
        str | None, typer.Option(help="Address of DCGM's exporter.", metavar="URL")
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="This machine; the default without other sources.")
    ] = False,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="A log without a kernel's line is a quiet one.")
    ] = False,
    node: Annotated[
        str | None,
        typer.Option(help="Its name; of a log, its lines alone. Default: every machine."),
    ] = None,
    host: Annotated[
        list[str] | None,
        typer.Option(help="A name under which its lines stand in the log. Default: --node."),
    ] = None,
    policy_file: PolicyOption = None,
    as_json: AsJson = False,
) -> None:
    """Find sick GPUs on this machine or in a recorded log, also one of many machines.

    Exit code: 0 nothing or info, 10 warn, 11 degraded, 12 fatal; 2, 3, 4 or 6 it could not look.
    """
    import msgspec

    from parkade.mars.machines import EveryMachine, OneNode
    from parkade.mars.scanning import scan_of
    from parkade.mars.sources import Sources

    name = node or socket.gethostname()
    with explaining(as_json=as_json):
        policy = policy_from(policy_file)
        every = EveryMachine(name) if node is None and not host else None
        sources = Sources(
            node=name,
            now_us=time.time_ns() // 1_000,
            of=OneNode(name, tuple(host or ())) if every is None else every,
            watch=_announced,
        )
        parts = []
        if kernel_log is not None:
            parts.append(sources.kernel_file(kernel_log, may_be_empty=allow_empty))
        if dcgm is not None:
            parts.append(sources.dcgm(dcgm))
        if live or not parts:
            parts.append(sources.this_machine())
        try:
            found = scan_of(
                chain(*parts),
                node=name,
                policy=policy,
                sensors=lambda: sources.sensors,
                tally=sources.tally,
                machines=tuple if every is None else lambda: every.nodes,
            )
        except OSError as error:
            fail(f"{kernel_log} cannot be read: {error.strerror}", exit_code=MARS_CANNOT)
        if as_json:
            print(msgspec.json.format(msgspec.json.encode(found)).decode())
        else:
            _show(found)
    raise typer.Exit(found.exit_code)


@contextmanager
def _announced(sensor: str) -> Iterator[None]:
    """Says that a sensor takes its time, so that a silent scan is not taken for a hung one."""
    words = f"{sensor} has not answered yet; what does not answer is reported as failed"
    late = threading.Timer(PATIENCE_S, warn, [words])
    late.daemon = True
    late.start()
    try:
        yield
    finally:
        late.cancel()


def _show(found: "Scan") -> None:
    from parkade.cli import screen
    from parkade.core.units.phrases import counted

    for sensor in found.sensors:
        screen.say(f"{sensor.sensor}: {sensor.state}")
    lines = counted(found.lines, "line")
    symptoms = counted(found.symptoms, "symptom")
    of = found.node or counted(len(found.machines), "machine")
    screen.say(f"{of}: {lines}, {symptoms}, policy {found.policy}")
    if found.other_lines:
        screen.say(f"left out: {_left_out(found)}")
    if found.unknown:
        screen.say(f"{counted(found.unknown, 'line')} of drivers that no rule knows:")
        for line in found.unknown_lines[-MOST_UNKNOWN_SHOWN:]:
            screen.say(f"  {screen.short(line, 110)}")
    screen.say("")
    if found.node is None:
        _show_machines(found)
    else:
        _show_verdicts(found)
    if found.verdicts:
        worst = found.verdicts[0]
        screen.say("")
        of = "" if found.node is not None else f"{worst.node}: "
        screen.say(f"worst: {of}{evidence_line(worst.evidence[0])}")
        screen.say(f"see `parkade mars explain {worst.signal}`")


def _left_out(found: "Scan") -> str:
    """How many lines are not the node's, and of which machines they are."""
    from parkade.core.units.phrases import counted

    lines = counted(found.other_lines, "line")
    some = found.other_machines[:MOST_OTHERS]
    named = ", ".join(name for name in some if name)
    if not named:
        verb = "names" if found.other_lines == 1 else "name"
        return f"{lines} that {verb} no machine in a known form"
    more = " and more" if len(found.other_machines) > MOST_OTHERS else ""
    unnamed = "; some name none in a known form" if "" in some else ""
    return f"{lines} of other machines: {named}{more}{unnamed}"


def _show_verdicts(found: "Scan") -> None:
    from parkade.cli import screen

    shown = found.verdicts[:MOST_SHOWN]
    screen.table(
        ("LEVEL", "DEVICE", "SIGNAL", "COUNT", "ACTION", "SCOPE", "WHY"),
        [_row(verdict) for verdict in shown],
        empty="Nothing found, but not every sensor could be read."
        if found.failed
        else "Nothing found.",
        right="COUNT",
        # The last column folds, so a wide screen has room for all.
        drops="" if screen.console.width >= WIDE else "SCOPE COUNT",
        whole="LEVEL DEVICE SIGNAL ACTION",
    )
    more = len(found.verdicts) - len(shown) + found.left_out
    if more:
        screen.say(f"and {more} more; --json prints up to a thousand of each level")


def _show_machines(found: "Scan") -> None:
    """The worst of each machine; of those without a finding, how many they are."""
    from parkade.cli import screen
    from parkade.core.units.phrases import counted

    sick = [each for each in found.machines if each.worst is not None]
    screen.table(
        ("NODE", "LEVEL", "DEVICE", "SIGNAL", "ACTION", "VERDICTS"),
        [_machine_row(each) for each in sick[:MOST_MACHINES_SHOWN]],
        empty="Nothing found, but not every sensor could be read."
        if found.failed
        else "Nothing found.",
        right="VERDICTS",
        whole="NODE LEVEL SIGNAL ACTION",
    )
    if len(sick) > MOST_MACHINES_SHOWN:
        screen.say(f"and {len(sick) - MOST_MACHINES_SHOWN} more; --json prints all")
    well = len(found.machines) - len(sick)
    if well:
        screen.say(f"{counted(well, 'machine')} without a finding")
    if sick:
        screen.say(f"all of one machine: the same with `--node {sick[0].node}`")


def _machine_row(machine: "MachineScan") -> tuple[object, ...]:
    from rich.text import Text

    worst = machine.worst
    assert worst is not None
    level = Text(worst.level.value, style=LEVEL_STYLES[worst.level.value])
    action = worst.action.value.replace("_", " ")
    return (machine.node, level, worst.device, worst.signal, action, machine.verdicts)


def _row(verdict: "Verdict") -> tuple[object, ...]:
    from rich.text import Text

    from parkade.mars.story import sentences

    return (
        Text(verdict.level.value, style=LEVEL_STYLES[verdict.level.value]),
        verdict.device,
        verdict.signal,
        verdict.count,
        verdict.action.value.replace("_", " "),
        verdict.scope.value,
        sentences(verdict.reasons),
    )
