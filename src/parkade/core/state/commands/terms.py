"""Commands about the terms and prices of a market."""

from collections.abc import Mapping
from typing import Any

import msgspec

from parkade.core.fleet.buffer import BufferPolicy
from parkade.core.state.commands.command import Command
from parkade.core.units.fraction import Fraction


class TermsChange(msgspec.Struct, frozen=True, kw_only=True):
    """New terms of a market; None leaves a term as it is, but for those of `off`. Prices have a
    command of their own."""

    fee: Fraction | None = None
    switching_credit: Fraction | None = None
    notice_us: int | None = None
    heal_notice_us: int | None = None
    kill_us: int | None = None
    turnaround_us: int | None = None
    start_grace_us: int | None = None
    minimum_charge_us: int | None = None
    release_grace_us: int | None = None
    clearing_interval_us: int | None = None
    clearing_pause_us: int | None = None
    billing_period_us: int | None = None
    backoff_us: int | None = None
    retention_us: int | None = None
    buffer_nodes: int | None = None
    agent_lease_us: int | None = None
    start_limit_us: int | None = None
    payout_cap: Fraction | None = None
    window_deposit: Fraction | None = None
    assemble_us: int | None = None
    regrow_us: int | None = None
    folder_retention_us: int | None = None
    min_runtime_us: int | None = None

    shared_nodes: bool | None = None

    buffer: BufferPolicy | None = None
    file_systems: tuple[str, ...] | None = None

    off: tuple[str, ...] = ()
    """Terms that the market has no more, by their fields here: those that it need not have."""

    @classmethod
    def to(cls, terms: Mapping[str, Any]) -> "TermsChange":
        """The change that gives these fields their values, None included."""
        off = tuple(sorted(field for field, value in terms.items() if value is None))
        return cls(**terms, off=off)

    @property
    def given(self) -> dict[str, Any]:
        """The fields that change, with their values; `to` makes the change of it."""
        values = {name: getattr(self, name) for name in self.__struct_fields__ if name != "off"}
        given = {name: value for name, value in values.items() if value is not None}
        return given | dict.fromkeys(self.off)


class AboutTerms(Command, frozen=True, kw_only=True):
    """All commands about terms and prices of markets."""


class ChangeTerms(AboutTerms, frozen=True, kw_only=True):
    """New terms from an instant on; `from_us` None is now."""

    market: str
    change: TermsChange
    from_us: int | None


class SetPrices(AboutTerms, frozen=True, kw_only=True):
    """A new price sheet; None leaves a price as it is. Sold reservations keep their rate."""

    market: str
    pay_as_you_go_micros: int | None
    reservation_rate_micros: int | None
    public_floor_micros: int | None


TermsCommand = ChangeTerms | SetPrices
"""About the terms and prices of a market."""
