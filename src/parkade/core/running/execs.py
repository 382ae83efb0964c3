"""Whether a command may be run beside a rank of a workload: only where that rank runs.

The command itself is carried past the core; what is decided here is who is let in and where, and
the event is the record of it. Of the command only its first word is told, for the others may hold a
secret.
"""

from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.steps.refusals import Decision, conflict, invalid
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.workloads.ranks import ranks_of

LONGEST_PROGRAM = 64


def open_exec(world: World, command: commands.OpenExec, now_us: int) -> Decision:
    """The record of it, or why nothing can be run there."""
    workload = world.records.workloads[command.workload]
    name = workload.workload
    if workload.array is not None:
        says = f"{name} is an array; name a member, like {name}_1"
        return Refusal(reason=Reason.UNSUPPORTED, detail=says)
    if workload.phase.is_ended:
        says = f"{name} has ended; nothing runs beside it"
        return Refusal(reason=Reason.ALREADY_ENDED, detail=says)
    attempt = workload.attempt
    if attempt is None or attempt.started_us is None:
        return conflict(f"{name} is {workload.phase}; a command runs beside one that runs")
    ranks = [it.rank for it in ranks_of(attempt)]
    if command.rank not in ranks:
        known = f"ranks 0 to {ranks[-1]}"
        if ranks != list(range(len(ranks))):
            known = f"the ranks {', '.join(str(it) for it in ranks)}"
        return invalid("rank", f"{name} has {known}")
    is_short = 0 < len(command.program) <= LONGEST_PROGRAM
    if not is_short or not command.program.isprintable():
        return invalid("command", f"its first word has 1 to {LONGEST_PROGRAM} letters")
    return (
        events.ExecOpened(
            at_us=now_us,
            workload=name,
            session=command.session,
            attempt=attempt.attempt,
            rank=command.rank,
            program=command.program,
            has_terminal=command.has_terminal,
        ),
    )
