"""What `parkade sim what-if` found, as figures: the form of `--json`, version 1.

Amounts are whole units of the installation, waits seconds, sizes GPUs and GPU-hours. A field is
added with a default and never renamed.
"""

import msgspec

REPORT_VERSION = 1


class RunFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One run: the journal itself, its demand under the same terms, and under the changed ones."""

    words: str

    workloads: int
    """That were accepted; of an array each member that was opened."""

    started: int
    """Whose first process ran."""

    succeeded: int
    gpu_hours: dict[str, float]
    """That ran, by kind of capacity."""

    paid: float
    """By orgs, for everything but deposits; with what has accrued at the end and is not posted."""

    received: float
    """By orgs, for lending and as credit."""

    fees: float
    price: float | None
    """Charged use ÷ its GPU-hours; None: none was charged."""

    wait_p50_s: float
    wait_p99_s: float
    wait_max_s: float
    """From a submission to the first process, of those that started; of a member from when it was
    opened."""

    notices: dict[str, int]
    """By cause; single ranks that leave together are one."""

    moved_gpus: int
    claims: int
    claim_p50_s: float
    claim_p99_s: float
    claim_max_s: float
    """From a claim to its seats, or to its end without them."""

    clearings: int
    """That changed something."""

    owner_waits: int = 0
    """How often an owner's claim or its work on a reservation waited for promised seats that others
    held, or that others had just left."""

    owner_wait_p99_s: float = 0.0
    owner_wait_max_s: float = 0.0
    owner_wait_total_s: float = 0.0


class RunSeries(msgspec.Struct, frozen=True, kw_only=True):
    """A run over time: (day, value), each the mean of a step."""

    words: str
    running: tuple[tuple[float, float], ...]
    waiting: tuple[tuple[float, float], ...]
    claimed: tuple[tuple[float, float], ...]
    prices: tuple[tuple[float, float], ...]
    paid: tuple[tuple[float, float], ...]
    """So far."""


class OrgDifference(msgspec.Struct, frozen=True, kw_only=True):
    """An org: (same terms, changed terms) of each."""

    org: str
    gpu_hours: tuple[float, float]
    paid: tuple[float, float]
    received: tuple[float, float]
    started: tuple[int, int]
    wait_s: tuple[float, float]
    """Mean, to the first process, of those that started in both."""

    notices: tuple[int, int]


class WorkloadDifference(msgspec.Struct, frozen=True, kw_only=True):
    """A workload by its id in the journal: (same terms, changed terms) of each."""

    workload: str
    name: str
    org: str
    gpu_hours: tuple[float, float]
    paid: tuple[float, float]
    wait_s: tuple[float | None, float | None]
    """To its first process; None: it never started."""

    notices: tuple[int, int]
    phase: tuple[str, str]


class WhatIfReport(msgspec.Struct, frozen=True, kw_only=True):
    """`changes` as they were given. `digest`: the journal's chain, over events as this program
    writes them; `digest_again`: that of its commands decided again; `is_own_digest`: it is what the
    journal itself says. `facts`: events that no command explains, by kind. `skipped`: commands that
    did not apply under the changed terms; `assumed`: workloads that ran there and never did in the
    journal, so that their length is a guess. `until`: the last event, up to which all is counted,
    in RFC 3339."""

    kind: str
    changes: tuple[str, ...]
    days: float
    events: int
    commands: int
    facts: dict[str, int]
    digest: str
    digest_again: str
    is_own_digest: bool
    runs: tuple[RunFigures, ...]
    series: tuple[RunSeries, ...]
    orgs: tuple[OrgDifference, ...]
    workloads: tuple[WorkloadDifference, ...]
    won: int
    """Workloads that started only under the changed terms."""

    lost: int
    """Workloads that started only under the same terms."""

    skipped: dict[str, int]
    assumed: int
    until: str = ""
    version: int = REPORT_VERSION
