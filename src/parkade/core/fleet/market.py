"""A market's terms: one set of prices and one notice for one instance type at one site."""

import msgspec

from parkade.core.units.fraction import Fraction


class InstanceType(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of node; `memory_gib` and `cpus` are the whole node's."""

    name: str
    gpu_model: str
    gpus_per_node: int
    memory_gib: int
    cpus: int


class MarketTerms(msgspec.Struct, frozen=True, kw_only=True):
    """The published terms. Prices are micro-units per GPU-hour, spans are microseconds.

    `notice_us`: from 'you must leave' to TERM; `kill_us`: from TERM to KILL; `heal_notice_us`
    replaces the notice where a broken gang of a higher tier must be healed; `turnaround_us`:
    between two orgs on one seat; `start_grace_us` and `minimum_charge_us`: what a winner that
    displaced others pays at least; `buffer_nodes`: kept out of reservation sales in each fabric.
    """

    pay_as_you_go_micros: int
    reservation_rate_micros: int
    public_floor_micros: int
    fee: Fraction
    switching_credit: Fraction
    notice_us: int
    heal_notice_us: int
    kill_us: int
    turnaround_us: int
    start_grace_us: int
    minimum_charge_us: int
    release_grace_us: int
    clearing_interval_us: int
    clearing_pause_us: int
    billing_period_us: int
    backoff_us: int
    retention_us: int
    buffer_nodes: int

    @property
    def leave_us(self) -> int:
        """The longest an owner waits for a seat that another org holds."""
        return self.notice_us + self.kill_us + self.turnaround_us


class AnnouncedTerms(msgspec.Struct, frozen=True, kw_only=True):
    """Terms that replace the present ones at `from_us`. Prices are set apart and at once, so the
    price fields of `terms` are those of the day they were announced and are not applied."""

    from_us: int
    terms: MarketTerms


class Market(msgspec.Struct, frozen=True, kw_only=True):
    """A market; its nodes say which pools supply it.

    `ladder` is (n nodes, price to win now or None) of the last clearing; `clearings` counts those
    that changed something; `fabrics` in the order in which they were opened; `announced` in order
    of their dates.
    """

    market: str
    site: str
    instance_type: InstanceType
    terms: MarketTerms
    fabrics: tuple[str, ...]
    ladder: tuple[tuple[int, int | None], ...]
    cleared_us: int
    clearings: int
    announced: tuple[AnnouncedTerms, ...] = ()
