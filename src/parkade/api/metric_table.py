"""Every number that the server tells of the writer and the market: the one table that `/metrics`
and the page of metrics are made of. Nothing here names a customer.

A name is kept for ever: what changes its meaning gets another. A counter's name is without the
`_total` that Prometheus reads.
"""

from typing import Literal, NamedTuple

Kind = Literal["gauge", "counter", "histogram"]


class Row(NamedTuple):
    """`worry`: when a person should look, or nothing."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    means: str
    worry: str = ""

    @property
    def shown(self) -> str:
        """As it stands on the page that is scraped."""
        return f"{self.name}_total" if self.kind == "counter" else self.name


TABLE = (
    Row("parkade_up", "gauge", (), "whether the writer runs", "0"),
    Row(
        "parkade_leads",
        "gauge",
        (),
        "whether this server leads; a standby says 0",
        "all servers say 0",
    ),
    Row(
        "parkade_epoch",
        "gauge",
        (),
        "how often a server opened this journal",
        "it climbs by itself",
    ),
    Row("parkade_journal_sequence", "gauge", (), "the journal's position"),
    Row(
        "parkade_clock_doubted",
        "gauge",
        (),
        "whether clearing waits for `parkade clock confirm`",
        "1",
    ),
    Row(
        "parkade_clock_behind_seconds",
        "gauge",
        (),
        "how far the machine's clock is behind the server's present",
        "above 0",
    ),
    Row(
        "parkade_frozen_markets",
        "gauge",
        (),
        "markets whose last clearing failed by an internal error",
        "above 0",
    ),
    Row(
        "parkade_silent_pools",
        "gauge",
        (),
        "pools that are not seen: the agent is silent, or its engine does not answer it",
        "above 0",
    ),
    Row(
        "parkade_refusing_pools",
        "gauge",
        (),
        "pools whose agent is heard and refuses this server's orders",
        "above 0",
    ),
    Row(
        "parkade_ledger_imbalance",
        "gauge",
        (),
        "the sum of all accounts, in the installation's unit",
        "not 0",
    ),
    Row("parkade_commands_waiting", "gauge", (), "commands that wait for the writer", "it grows"),
    Row(
        "parkade_commit_seconds",
        "gauge",
        (),
        "the last batch: decided, and synced to disk",
        "above 0.5",
    ),
    Row(
        "parkade_clearing_seconds",
        "gauge",
        (),
        "the last clearing",
        "near the clearing interval",
    ),
    Row("parkade_commits", "counter", (), "batches committed"),
    Row("parkade_commands", "counter", (), "commands decided"),
    Row(
        "parkade_writer_entries",
        "counter",
        (),
        "commands and views that the writer took in; a request is one or none",
    ),
    Row("parkade_internal_refusals", "counter", (), "commands that hit a bug", "it grows"),
    Row(
        "parkade_refusals",
        "counter",
        ("code",),
        "requests that were refused, by [code](api.md#codes)",
        "`internal` or `busy` grows",
    ),
    Row(
        "parkade_commit_duration_seconds",
        "histogram",
        (),
        "how long batches took: decided, and synced to disk",
    ),
    Row("parkade_clearing_duration_seconds", "histogram", (), "how long clearings took"),
    Row(
        "parkade_workloads",
        "gauge",
        ("market", "phase"),
        "workloads and members of arrays that have not ended",
    ),
    Row(
        "parkade_gpus",
        "gauge",
        ("market", "use"),
        "GPUs by use: `owner`, `lent`, `spot`, `on_demand`, `idle`, `out`",
        "`out` grows",
    ),
    Row("parkade_floor_price", "gauge", ("market",), "public floor, per GPU-hour"),
    Row("parkade_on_demand_price", "gauge", ("market",), "price of on-demand, per GPU-hour"),
    Row("parkade_reservation_rate", "gauge", ("market",), "rate of reservations, per GPU-hour"),
    Row(
        "parkade_price_to_win",
        "gauge",
        ("market",),
        "what one node more would cost on spot, per GPU-hour; absent where no price wins one",
    ),
    Row("parkade_attempts_started", "counter", ("market",), "attempts that had a first process"),
    Row(
        "parkade_workloads_ended",
        "counter",
        ("market", "phase"),
        "workloads and members of arrays that ended, by how",
    ),
    Row(
        "parkade_preemptions",
        "counter",
        ("market", "cause"),
        "attempts that had to leave while their workload goes on: `outbid`, `below_floor`,"
        " `reclaimed`, `budget`, `operator`, `lapsed` and, of moves, `moved`, `resized`, `healed`",
    ),
    Row(
        "parkade_owner_waits",
        "counter",
        ("market",),
        "how often an owner waited for a seat that another held",
    ),
    Row("parkade_owner_wait_seconds", "counter", ("market",), "how long owners waited in all"),
    Row(
        "parkade_promises_unkept",
        "counter",
        ("market", "promise"),
        "promises to owners that were not kept. `reclaim`: a seat came later than notice, kill and"
        " turnaround allow. `capacity`: a right lacked nodes, and is credited",
        "it grows",
    ),
)

NAMES = {row.name: row for row in TABLE}
assert len(NAMES) == len(TABLE), "a name stands once"
