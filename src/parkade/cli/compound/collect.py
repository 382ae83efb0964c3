"""`parkade compound collect`: the shards of a submitted run as one run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from parkade.compound.shards.merging import Collected


def collect(
    out: Annotated[Path, typer.Argument(help="Folder of a submitted run.")],
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, on one line.")] = False,
) -> None:
    """Put the results together; workers do so themselves when all is done."""
    import os

    from parkade.cli.compound.failing import failing
    from parkade.cli.exit_codes import (
        COMPOUND_BUDGET,
        COMPOUND_DENIED,
        COMPOUND_FAILED,
        COMPOUND_UNFINISHED,
    )
    from parkade.compound.shards.board import Board
    from parkade.compound.shards.folder import SharedFolder
    from parkade.compound.shards.merging import merge

    with failing(as_json=as_json):
        folder = SharedFolder(out)
        name = f"collect-{os.getpid()}"
        collected = merge(folder, Board(folder.log, folder.read().shards, name), name)
    if as_json:
        import msgspec

        fields = {"v": 1, **msgspec.to_builtins(collected), "out": str(out)}
        print(msgspec.json.encode(fields).decode())
    else:
        _print(collected, out)
    if collected.is_budget_spent:
        raise SystemExit(COMPOUND_BUDGET)
    if collected.left and collected.is_given_up:
        raise SystemExit(COMPOUND_DENIED)
    if collected.left:
        raise SystemExit(COMPOUND_UNFINISHED)
    if collected.failed:
        raise SystemExit(COMPOUND_FAILED)


def _print(collected: "Collected", out: Path) -> None:
    from parkade.cli.compound.bill import bill_of
    from parkade.cli.compound.progress import failure_fields
    from parkade.cli.screen import fields
    from parkade.core.units.money import format_amount

    overrun = collected.overrun
    answered = f"{collected.answered:,} of {collected.questions:,} answered"
    if collected.failed:
        answered += f", {collected.failed:,} failed: submit again to try them again"
    earlier = f"{collected.of_earlier:,} answers of an earlier network, until this one's come"
    beyond = f"{format_amount(overrun.micros)}, {overrun.tokens:,} tokens"
    over = f"{beyond} billed beyond what was asked for"
    fields(
        (
            ("questions", answered),
            ("kept", earlier if collected.of_earlier else None),
            ("shards", f"{collected.shards - collected.left} of {collected.shards} done"),
            ("used", bill_of(collected.spent, collected.doubtful, tail=_set_aside(collected))),
            ("overrun", over if overrun.micros or overrun.tokens else None),
            (
                "budget",
                "spent: submit again with a larger one" if collected.is_budget_spent else None,
            ),
            *_stops(collected),
            ("results", out / "results.jsonl"),
            *failure_fields(collected.failed, collected.reasons, collected.other_reasons, out),
        )
    )


def _set_aside(collected: "Collected") -> str:
    """While shards are at work their money is what they may use; it is exact once all are done."""
    return ", with what is set aside for shards that are not done" if collected.left else ""


def _stops(collected: "Collected") -> tuple[tuple[str, object], ...]:
    """What stopped workers, the latest cause with the last lines of its server."""
    if not collected.stops or not collected.left:
        return ()
    last = collected.stops[-1]
    alike = [each for each in collected.stops if each.why == last.why]
    nodes = ", ".join(dict.fromkeys(each.node for each in alike))
    times = f"{len(alike)} times on {nodes}" if len(alike) > 1 else f"on {nodes}"
    end = "given up: correct it, and submit again" if collected.is_given_up else None
    return (
        ("stopped", f"{' '.join(last.why.split())} ({times})"),
        *(("", line) for line in last.last_lines),
        ("", end),
    )
