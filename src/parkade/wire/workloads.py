"""Workloads on the wire: requests and answers."""

from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    Field,
    Strict,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
)

from parkade.core.units.indexes import MOST_CHARACTERS, SPANS, parse_indexes
from parkade.wire.model import Answer, Request
from parkade.wire.money import Cost
from parkade.wire.scalars import Amount, Instant, LimitPrice, Name, Payment, PositiveSpan
from parkade.wire.spec import WorkloadSpec


class Submit(Request):
    """A workload to be run. `market` may be left out where the spec names one, or its reservation
    or instance type decides."""

    spec: WorkloadSpec
    market: Name | None = Field(None, validate_default=True)
    org: Name | None = Field(None, description="only an operator names another than its own")
    hold: bool = Field(False, strict=True)

    @field_validator("market")
    @classmethod
    def _is_the_specs(cls, market: str | None, info: ValidationInfo) -> str | None:
        spec = info.data.get("spec")
        written = None if spec is None else spec.market
        if market is not None and written not in (None, market):
            raise ValueError(f"the spec names {written}; leave one of the two out")
        return market or written


def _as_answered(value: Any, handler: ValidatorFunctionWrapHandler) -> WorkloadSpec:
    """The spec of an answer, as far as this version knows it: a newer server may have keys and
    values of which this one knows nothing, and one workload never hides the others of a list. Keys
    that were left out are kept beside it, so that the rest is not submitted (`unread_of`)."""
    try:
        return handler(value)  # type: ignore[no-any-return]
    except ValidationError:
        if not isinstance(value, dict):
            raise
    known = {key: value[key] for key in value.keys() & WorkloadSpec.model_fields.keys()}
    while True:
        try:
            found: WorkloadSpec = handler(known)
            break
        except ValidationError as error:
            wrong = known.keys() & {each["loc"][0] for each in error.errors() if each["loc"]}
            if not wrong - REQUIRED:
                texts: dict[str, Any] = {key: str(known.get(key, "")) for key in REQUIRED}
                found, known = WorkloadSpec.model_construct(**texts), texts
                break
            known = {key: known[key] for key in known.keys() - (wrong - REQUIRED)}
    found._unread = tuple(sorted(value.keys() - known.keys()))
    return found


def unread_of(spec: WorkloadSpec) -> tuple[str, ...]:
    """The keys of a spec in an answer that this version could not read; empty for all others."""
    return spec._unread


REQUIRED = frozenset({"name", "command"})
AnsweredSpec = Annotated[WorkloadSpec, WrapValidator(_as_answered)]


def _indexes(text: str) -> str:
    parse_indexes(text)
    return text


Indexes = Annotated[
    str,
    Strict(),
    AfterValidator(_indexes),
    Field(pattern=f"^{SPANS}$", max_length=MOST_CHARACTERS),
]
"""Members of an array, like `3,7-9`."""


class Cancel(Request):
    """End a workload; one that runs gets the market's notice unless `now`. `members`: of an array;
    null: all."""

    now: bool = Field(False, strict=True)
    members: Indexes | None = None


class Bid(Request):
    """A new limit per GPU-hour, from the next clearing on. `members`: of an array; null: all.
    `instance_type`: of a workload with several, the one whose limit it is; null: of all, where they
    have one limit."""

    limit_price: LimitPrice
    members: Indexes | None = None
    instance_type: Name | None = None


class Bounds(Request):
    """Other bounds of a workload that lives: what is left out stays, null takes a bound away.
    `members`: of an array, for `max_duration`; null: all."""

    max_spend: Payment | None = None
    max_duration: PositiveSpan | None = None
    members: Indexes | None = None


class Retry(Request):
    """Run members of an array again that have ended; `members` null: all that failed."""

    members: Indexes | None = None


class Resubmit(Request):
    """Run a workload that ended again from its checkpoints. What is left out is as it was; a null
    takes a bound away."""

    limit_price: LimitPrice | None = None
    max_spend: Payment | None = None
    max_duration: PositiveSpan | None = None


class Seat(Answer):
    """GPUs of a node."""

    node: str
    gpus: int


class Stop(Answer):
    """A notice: leave by `deadline`, killed at `kill`."""

    noticed: Instant
    deadline: Instant
    kill: Instant
    cause: str


class AttemptRank(Answer):
    """A rank of a live attempt. `begun`: since when it runs and is paid for; null while it joins.
    `leaves`: it was told to leave while the others go on."""

    rank: int
    node: str
    gpus: int
    joined: Instant
    begun: Instant | None
    leaves: Stop | None


class Attempt(Answer):
    """The run that holds seats now. `ranks`: where they come and go while it runs; else none, and
    they are those of its seats, in order."""

    attempt: str
    generation: int
    seats: tuple[Seat, ...]
    ordered: Instant
    started: Instant | None
    stop: Stop | None
    checkpoint_step: int | None
    checkpoint: Instant | None
    ranks: tuple[AttemptRank, ...] = ()


class Members(Answer):
    """How many members of an array are where. `waiting`: not open yet; `open`: by phase.

    `failed_members` names those that failed, like `3,7-9`.
    """

    total: int
    most_running: int | None
    waiting: int
    open: dict[str, int]
    succeeded: int
    failed: int
    cancelled: int
    expired: int
    failed_members: str


class MarketAnswer(Answer):
    """One of the markets in which a workload bids. `why`: why it did not win there when it was last
    asked; null where it has its seats there, or was not asked."""

    market: str
    instance_type: str
    limit_price: Amount
    has_seats: bool
    why: str | None
    price_to_win: Amount | None
    says: str


class Workload(Answer):
    """A workload in full. `price` is per GPU-hour, null while it holds no seats.

    `spent` is what was charged and what has accrued since. `debt`: what giving up its seats costs
    now, because others were told to leave for it; null: nothing. `is_reachable` false: its pool's
    agent is not heard, so what runs there is unknown, not failed. `folder_until`: until when its
    checkpoints and output are kept, once it has ended; null: no attempt left any, or for ever.
    """

    workload: str
    name: str
    org: str
    user: str
    market: str
    phase: str
    is_reachable: bool
    why: str
    nodes: int
    gpus: int
    capacity: str

    capacity_list: tuple[str, ...] = ()
    """What it tries in order, where it has a list; `capacity` is what it asks for or uses now."""

    limit_price: Amount | None
    price: Amount | None

    node_prices: tuple[Amount, ...] = ()
    """Of an elastic workload with seats, what each node costs per GPU-hour; `price` is their
    mean."""

    price_to_win: Amount | None
    spent: Amount

    falls_back: Instant | None = None
    """When it becomes on-demand, unless it is done by then or saves more; null: it has no deadline,
    or is on-demand already."""

    became_on_demand: Instant | None = None
    """When it became on-demand for its deadline: its spec is shown as on-demand from then on,
    without limit and deadline; null: it did not."""

    protected_until: Instant | None = None
    """No bid takes its seats before that, by its market's `min_runtime`; null: any higher one
    does."""

    debt: Amount | None = None
    submitted: Instant
    not_before: Instant | None
    ended: Instant | None
    folder_until: Instant | None = None
    failures: int
    preemptions: int
    checkpoint_step: int | None
    exit: str

    attempts: int = 0
    """How many it has had, the present one among them."""

    shortage: str | None = None
    """In the answer to a submission: how much money is missing for it to take part, and what to
    do; null: nothing is. Later `why` says it."""

    exit_code: int | None = None
    """Of its last ended attempt, as a shell has it: 128 + the signal where one ended it; null
    before, and where it is not known."""

    moved: str | None
    """Why it was moved to the seats that it has or is promised; null where it was not."""

    members: Members | None = None
    """Of an array; its `phase` is `running` while a member runs, its counts and costs are those of
    all members."""

    member_of: str | None = None
    index: int | None = None
    """The array that it is a member of, and its index there."""

    markets: tuple[MarketAnswer, ...] = ()
    """Of a workload with several instance types: each, in the order of its wishes."""

    attempt: Attempt | None
    promised: tuple[Seat, ...]
    cost: Cost
    spec: AnsweredSpec


class Workloads(Answer):
    """Some of those the caller may see, newest first; `next` is where to go on, if anywhere."""

    workloads: tuple[Workload, ...]
    next: str | None


class Why(Answer):
    """Why a workload is where it is, and the cheapest change that would win."""

    workload: str
    phase: str
    why: str
    says: str
    price_to_win: Amount | None
    not_before: Instant | None

    moved: str | None
    """Why it was moved to the seats that it has or is promised; null where it was not."""

    markets: tuple[MarketAnswer, ...] = ()
    """Of a workload with several instance types: each, in the order of its wishes."""


class Plan(Answer):
    """What the next clearing would do with a workload, if nothing else changed.

    `displaces`: how many attempts would get notice for it. `rendered`: the exact command
    and surroundings that its engine would launch; null where the engine is not at the server.
    `falls_back`: when it becomes on-demand for its deadline. `fallback_cost`: the most that
    on-demand costs which is set aside for that, or for a list that may buy it; null without either.
    """

    market: str
    would_win: bool
    seats: tuple[Seat, ...]
    displaces: int
    price: Amount | None
    per_hour: Amount | None
    why: str | None
    price_to_win: Amount | None
    falls_back: Instant | None = None
    fallback_cost: Amount | None = None
    says: str

    markets: tuple[MarketAnswer, ...] = ()
    """Of a workload with several instance types: each, in the order of its wishes."""

    rendered: str | None
    cost: Cost


class LogOffset(Answer):
    """Where in the output of a rank of an attempt begins what came at an instant or later."""

    attempt: str
    rank: int
    offset: int
