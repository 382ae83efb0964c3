"""A scenario: a YAML file that says which data is replayed, on which fleet, under which terms.

Every key is known or refused with its place. The file has a version; the data is named by file and
found beside the scenario or in the folder that the command is given.
"""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, Strict, field_validator, model_validator
from pydantic_core import PydanticCustomError

from parkade.core.units.fraction import parse_fraction
from parkade.wire.model import Request
from parkade.wire.pools import Terms
from parkade.wire.scalars import PositiveSpan, Price, Share, Span, Whole
from parkade.wire.yaml import Unreadable, load
from parkade.wire.yaml import check as check_model

VERSION = 1
MOST_DAYS = 400
MOST_COPIES = 100
MOST_ENTRIES = 8


def _plain_name(name: str) -> str:
    """A file of the data folder, never a path out of it."""
    if Path(name).name != name or name in ("", ".", ".."):
        raise ValueError("name a file, without its folder; --data says where it lies")
    return name


FileName = Annotated[str, Strict(), Field(max_length=255), AfterValidator(_plain_name)]
Percent = Annotated[Whole, Field(ge=0, le=100)]


class TraceColumns(Request):
    """Which columns of the trace hold what."""

    org: str = "vc"
    time: str = "time"
    quota_gpus: str = "quota_gpus"
    busy_gpus: str = "busy_gpus"
    queued_gpus: str = "queued_gpus"


class TraceFile(Request):
    """A fleet by the minute: of each org its quota, its busy and its queued GPUs."""

    file: FileName
    columns: TraceColumns = TraceColumns()
    first_day: Annotated[Whole, Field(ge=0, le=MOST_DAYS)] = 0
    days: Annotated[Whole, Field(ge=1, le=MOST_DAYS)] | None = Field(
        None, description="how many days from `first_day` on; default: all"
    )
    copies: Annotated[Whole, Field(ge=1, le=MOST_COPIES)] = Field(
        1, description="a larger fleet: each org so many times, each copy as much later in the span"
    )


class QuotesFile(Request):
    """Public prices of one GPU; a guest's limit is a quote drawn at random, times a spread."""

    file: FileName
    gpu_model: Annotated[str, Strict(), Field(min_length=1, max_length=63)]
    rental_types: Annotated[tuple[str, ...], Field(min_length=1, max_length=MOST_ENTRIES)] = (
        "spot",
    )
    spread: Percent = Field(25, description="standard deviation of the limit's logarithm, in %")


class Fleet(Request):
    """How the orgs' GPUs stand in nodes, and the nodes in fabrics."""

    gpus_per_node: Annotated[Whole, Field(ge=1, le=64)] = 8
    fabric_nodes: Annotated[Whole, Field(ge=1, le=100_000)] = Field(
        32, description="nodes of a fabric at most; the fabrics are about equally large"
    )


class Owners(Request):
    """The standing offer of every owner."""

    floor: Price = Field(description="what an owner receives at least, per GPU-hour")
    keep: Percent = Field(
        0, description="of its nodes an owner never lends so many percent, to the nearest node"
    )


class Guests(Request):
    """How queued work behaves once it runs as a guest."""

    starting: Span = Field(timedelta(seconds=5), description="from the order to the first process")
    saves: Percent = Field(85, description="so many percent of the guests save at a notice")
    saving_from: Span = Field(timedelta(seconds=5), description="how long saving takes at least")
    saving_to: Span = Field(timedelta(seconds=110), description="… and at most")
    checkpoint_every: PositiveSpan = Field(
        timedelta(minutes=15), description="what is killed goes on from its last checkpoint"
    )

    @model_validator(mode="after")
    def _saving_is_a_range(self) -> Self:
        if self.saving_from > self.saving_to:
            raise ValueError("saving_from is longer than saving_to")
        return self


class Sweeps(Request):
    """Runs of Parkade beside the first one, in each of which one thing differs."""

    keep: Annotated[tuple[Percent, ...], Field(max_length=MOST_ENTRIES)] = (0, 5, 10)
    floor: Annotated[tuple[Price, ...], Field(max_length=MOST_ENTRIES)] = ()
    headroom: Annotated[tuple[Percent, ...], Field(max_length=MOST_ENTRIES)] = Field(
        (), description="background guests fill the fleet but for so many percent of its nodes"
    )


class IdleResale(Request):
    """Each org owns its quota as a reservation and lends what stands idle; what queued bids."""

    version: Literal[1]
    kind: Literal["idle-resale"]
    name: Annotated[str, Strict(), Field(min_length=1, max_length=80)]
    seed: Annotated[Whole, Field(ge=0, le=2**31 - 1)] = 1
    trace: TraceFile
    quotes: QuotesFile
    fleet: Fleet = Fleet()
    terms: Terms
    owners: Owners
    guests: Guests = Guests()
    sweeps: Sweeps = Sweeps()

    @field_validator("terms")
    @classmethod
    def _all_nodes_are_sold(cls, terms: Terms) -> Terms:
        if terms.buffer_nodes:
            raise PydanticCustomError(
                "value_error", "write buffer_nodes: 0, for the reservations are the whole fleet"
            )
        return terms


class Parking(Request):
    """One owner parks what it does not use: what its useful hours then cost."""

    version: Literal[1]
    kind: Literal["parking"]
    name: Annotated[str, Strict(), Field(min_length=1, max_length=80)]
    seed: Annotated[Whole, Field(ge=0, le=2**31 - 1)] = 1
    reserved_at: Price
    pay_as_you_go: Price
    floor: Price
    fee: Share
    week_hours: Annotated[Whole, Field(ge=2, le=8760)] = 168
    used_hours: Annotated[Whole, Field(ge=1, le=8760)] = 40
    nodes: Annotated[Whole, Field(ge=1, le=1000)] = 8
    gpus_per_node: Annotated[Whole, Field(ge=1, le=64)] = 8
    fills: Annotated[tuple[Share, ...], Field(min_length=1, max_length=100)]

    @model_validator(mode="after")
    def _is_used_in_part(self) -> Self:
        if self.used_hours >= self.week_hours:
            raise ValueError("used_hours is less than week_hours: the rest is parked")
        if not parse_fraction(self.fee).is_fee:
            raise ValueError("a fee is less than 1, like 2/7")
        return self


Scenario = IdleResale | Parking
KINDS: dict[str, type[IdleResale] | type[Parking]] = {
    "idle-resale": IdleResale,
    "parking": Parking,
}


def parse_scenario(text: str) -> Scenario:
    """The scenario of a document; raises `Unreadable` with all faults and their places."""
    value = load(text)
    version, kind = value.get("version"), value.get("kind")
    if version != VERSION:
        raise refused("version", f"this version reads scenarios of version {VERSION}")
    model = KINDS.get(kind) if isinstance(kind, str) else None
    if model is None:
        raise refused("kind", f"write one of {', '.join(KINDS)}")
    return check_model(value, model)


def refused(place: str, message: str) -> Unreadable:
    """One fault with its place."""
    from parkade.wire.problems import Fault, invalid

    return Unreadable(invalid([Fault(place=place, message=message)]))
