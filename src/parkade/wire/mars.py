"""Incidents, budgets and sensors on the wire; `format` is of the `--json` that tools keep."""

from typing import Annotated, Literal

from pydantic import Field

from parkade.wire.model import Answer, Paged, Request
from parkade.wire.scalars import Amount, Instant, Reasoning, Share, Span


class SetAutomation(Request):
    """Stop or start all automatic action, or change its budgets; what is left out stays."""

    reason: Reasoning
    is_on: bool | None = Field(None, description="false stops all automatic action")
    is_limited: bool | None = Field(
        None, description="false lifts budgets, second source and suspicion of parents"
    )
    fabric_share: Share | None = Field(None, description="of a fabric's nodes within an hour")
    fleet_share: Share | None = Field(None, description="of all nodes within an hour")


class Evidence(Answer):
    """A line that a sensor saw, and what read it."""

    at: Instant
    source: str
    reporter: str
    parser: str
    line: str


class Verdict(Answer):
    """A verdict with its evidence; `policy` names the table and its version."""

    verdict: str
    at: Instant
    level: str
    signal: str
    action: str
    device: str | None
    count: int
    reasons: tuple[str, ...]
    sources: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    policy: str


class StoryLine(Answer):
    """One line of the story."""

    at: Instant
    kind: str
    says: str


class Hurt(Answer):
    """A workload that had to leave. `seconds`: how long it stood still; null: it still does, or
    did not yet."""

    workload: str
    org: str
    with_notice: bool
    from_: Instant | None = Field(alias="from")
    until: Instant | None
    seconds: float | None
    moved_to: tuple[str, ...]
    checkpoint_step: int | None


class Incident(Answer):
    """One node's story: `outcome` null: it is open; `next` is what it does then."""

    format: Literal[1] = 1
    incident: str
    node: str
    pool: str
    market: str
    fabric: str
    level: str
    signal: str
    action: str
    device: str | None
    opened: Instant
    closed: Instant | None
    outcome: str | None
    next: str
    held: str | None
    order: str | None
    verdicts: tuple[Verdict, ...]
    lines: tuple[StoryLine, ...]
    hurt: tuple[Hurt, ...]


class Incidents(Paged):
    """Open ones, and the last closed ones, newest first."""

    format: Literal[1] = 1
    incidents: tuple[Incident, ...]


class Budget(Answer):
    """How many nodes automatic action may take within an hour, and has taken."""

    budget: str
    nodes: int
    taken: int
    state: str


class Buffer(Answer):
    """A fabric's buffer: `held` nodes are kept out of sales; `down` are out of play; `lent` of the
    buffer's nodes run spot work; `short` is by how many nodes more are down than are held; `sized`:
    when a policy decided `held`, null where it is the market's `buffer_nodes`."""

    market: str
    fabric: str
    nodes: int
    held: int
    down: int
    lent: int
    short: int
    sized: Instant | None = None


class SickNode(Answer):
    """A node that is not healthy."""

    node: str
    pool: str
    health: str
    reason: str
    incident: str | None


class SensorState(Answer):
    """`read`, or why not."""

    pool: str
    node: str
    sensor: str
    state: str


class MeasuredTurnaround(Answer):
    """Sanitising between two orgs in a market: how often it passed and failed, how long it took.
    `promised` is the term, `usual` the median of the last ones; null before the first."""

    market: str
    promised: Span
    passed: int
    failed: int
    usual: Span | None
    longest: Span


class Status(Answer):
    """How the fleet is, and what Mars may do."""

    format: Literal[1] = 1
    is_on: bool
    is_limited: bool
    reason: str
    by: str | None = Field(None, description="the user that set it last")
    set_at: Instant | None = Field(None, description="and when")
    fabric_share: str
    fleet_share: str
    health: dict[str, int]
    sick: tuple[SickNode, ...]
    budgets: tuple[Budget, ...]
    buffers: tuple[Buffer, ...]
    lemons: dict[str, tuple[str, ...]] = Field(
        {}, description="nodes that fail again and again, and why that is said of them"
    )
    earned: dict[str, Amount] = Field(
        {}, description="by market, what its lent buffers earned, estimated"
    )
    turnarounds: tuple[MeasuredTurnaround, ...] = ()
    repairs: dict[str, tuple[str, ...]]
    sensors: tuple[SensorState, ...]
    open_incidents: Annotated[int, Field(ge=0)]
