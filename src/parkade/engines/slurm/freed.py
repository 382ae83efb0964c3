"""Decides when an attempt's seats became free, where that was seen late.

Theory of operation
-------------------
An attempt is billed until its seats were free. An agent that looks twice a second sees that at
once. One that was down, or whose Slurm did not answer, sees it late, and the workload shall not pay
for that. Two others know when it was:

- **Slurm** says when the job ended. No user writes that. A controller that was down dates the end
  to when it was back.
- **The members** say when their last process was gone. Their files are the user's, who could write
  an early end and go on computing.

So Slurm's word counts always; the members' within the time in which this agent saw nothing: not
before it last saw the job live. A controller that is back hears of ends a moment later (slurmd
repeats them), and then waits for the word of each node while the job is COMPLETING, which may take
minutes. So a job of which all members say that they are gone is not *seen* live in the first
`SETTLE_US`, nor while it is COMPLETING and was not seen live since the controller is back. A forged
end therefore gains no more than an outage of Slurm, that minute, and the time in which Slurm kills
the job: a guest does not choose the outage, and the pool sells nothing in it. After a restart of
the agent, which saw nothing before, Slurm's word counts alone.

    last seen live   members   Slurm   seen free   billed to
    12:00:00         12:00:20  12:00:45  12:00:46  12:00:20   (slurmctld was down)
    12:00:00         11:40:00  12:00:45  12:00:46  12:00:00   (forged)
    -                11:40:00  12:00:20  12:09:00  12:00:20   (the agent was down)
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from parkade.engines.local.records import State
from parkade.engines.slurm.answers import Job
from parkade.engines.slurm.commands import Runner
from parkade.ports import EngineError, Phase

SECOND_US = 1_000_000
SETTLE_US = 60_000_000


def freed_us(
    parts: Sequence[Job],
    states: Sequence[State | None],
    *,
    live_us: int | None,
    recorded_us: int | None,
    now_us: int,
) -> int:
    """`live_us`: when a look began that last saw it live, None for none of this agent;
    `recorded_us`: the end of a job that the controller has forgotten, by the accounting."""
    ends = [part.ended_us for part in parts] if parts else [recorded_us or 0]
    by_slurm = max(ends) if all(ends) else now_us
    if live_us is None:
        return min(now_us, by_slurm)
    gone = [
        state.released_us
        for state in states
        if state is not None and state.phase is Phase.RELEASED and state.released_us is not None
    ]
    by_members = max(gone) if gone and len(gone) == len(states) else now_us
    return min(now_us, max(live_us, min(by_slurm, by_members)))


def is_seen_live(
    parts: Sequence[Job],
    *,
    is_silent: bool,
    live_us: int | None,
    back_us: int | None,
    looked_us: int,
) -> bool:
    """Whether a look shows that a live job still has work. `is_silent`: some member has not said
    that all is gone; `back_us`: when Slurm answered again after it last did not; `live_us` as of
    `freed_us`."""
    if is_silent or back_us is None:
        return True
    if looked_us - back_us < SETTLE_US:
        return False
    is_over = bool(parts) and all("COMPLETING" in part.states for part in parts)
    return not is_over or (live_us is not None and live_us >= back_us)


def recorded_us(commands: Runner, job: int) -> int | None:
    """When the accounting says that a job ended; None where it does not."""
    try:
        answer = commands.run("sacct", "-X", "-n", "-P", "-j", str(job), "-o", "end")
        text = answer.decode(errors="replace").strip()
        ends = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    except (EngineError, ValueError):
        return None
    return int(ends.timestamp()) * SECOND_US
