"""Commands about a workload or an array: submit, hold, cancel, change, run again."""

import msgspec

from parkade.core.state.commands.command import Command
from parkade.core.units.indexes import Spans
from parkade.core.workloads.spec import Spec


class AboutWorkloads(Command, frozen=True, kw_only=True):
    """All commands about workloads."""


class Submit(AboutWorkloads, frozen=True, kw_only=True):
    """A workload to be run; `is_held` keeps it from starting."""

    org: str
    market: str | None
    spec: Spec
    is_held: bool


class Hold(AboutWorkloads, frozen=True, kw_only=True):
    """Keep a workload from starting; one that runs is refused. Of an array: open no more members,
    and keep the open ones that do not run."""

    workload: str


class Release(AboutWorkloads, frozen=True, kw_only=True):
    """The opposite of hold."""

    workload: str


class Cancel(AboutWorkloads, frozen=True, kw_only=True):
    """End a workload; one that runs gets the market's notice unless `now`. `members`: these of an
    array; None: all."""

    workload: str
    now: bool
    members: Spans | None = None


class ChangeBid(AboutWorkloads, frozen=True, kw_only=True):
    """A new limit per GPU-hour, from the next clearing on. `members` as in `Cancel`.
    `instance_type`: of a bid with several, the one whose limit it is."""

    workload: str
    limit_price_micros: int
    members: Spans | None = None
    instance_type: str | None = None


class NewBound(msgspec.Struct, frozen=True, kw_only=True):
    """A bound in place of the one there is; None: there is none from now on."""

    value: int | None


class ChangeBounds(AboutWorkloads, frozen=True, kw_only=True):
    """Another `max_spend` or `max_duration` while it lives; None leaves it as it is. `members` as
    in `Cancel`, for `max_duration` alone."""

    workload: str
    max_spend_micros: NewBound | None = None
    max_duration_us: NewBound | None = None
    members: Spans | None = None


class Retry(AboutWorkloads, frozen=True, kw_only=True):
    """Run members of an array again that have ended; None: all that failed."""

    workload: str
    members: Spans | None


class Resubmit(AboutWorkloads, frozen=True, kw_only=True):
    """Run a workload that ended again, under its id and from its checkpoints. Its bounds as in
    `ChangeBounds`; `limit_price_micros` None: the limit that it had."""

    workload: str
    limit_price_micros: int | None = None
    max_spend_micros: NewBound | None = None
    max_duration_us: NewBound | None = None


class OpenExec(AboutWorkloads, frozen=True, kw_only=True):
    """Run a command of its user's beside a rank of a running workload. `session`: the random name
    that it has from now on. `program`: the command's first word, as it is told to the org; its
    other words are not."""

    workload: str
    session: str
    rank: int
    program: str
    has_terminal: bool


WorkloadCommand = (
    Submit | Hold | Release | Cancel | ChangeBid | ChangeBounds | Retry | Resubmit | OpenExec
)
"""About a workload or an array."""
