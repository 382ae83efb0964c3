"""A fleet by the minute: of each tenant its quota and, minute for minute, busy and queued GPUs.

The trace is taken as given: nothing is smoothed, filled or corrected. A minute that is missing, a
quota that changes and a tenant that is busier than its quota are refused.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from parkade.core.units.names import NAME
from parkade.core.units.time import DAY_US, MINUTE_US
from parkade.sim.replay.scenario import TraceFile
from parkade.sim.replay.tables import BadData, read_columns

MINUTES_PER_DAY = 24 * 60


class TenantTrace(msgspec.Struct, frozen=True, kw_only=True):
    """One tenant; `busy` and `queued` have one entry a minute."""

    tenant: str
    """As an org is called: in lower case."""

    quota_gpus: int
    busy: tuple[int, ...]
    queued: tuple[int, ...]


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """All tenants over the same minutes."""

    start_us: int
    """Of the first minute, since 1970."""

    tenants: tuple[TenantTrace, ...]
    """In order of their names."""

    @property
    def minutes(self) -> int:
        """How many."""
        return len(self.tenants[0].busy)

    @property
    def quota_gpus(self) -> int:
        """Of all tenants."""
        return sum(tenant.quota_gpus for tenant in self.tenants)


def read_trace(file: Path, given: TraceFile, *, gpus_per_node: int) -> Trace:
    """The days of a trace that the scenario asks for. Raises `BadData`."""
    names = given.columns
    wanted = (names.org, names.time, names.quota_gpus, names.busy_gpus, names.queued_gpus)
    columns = read_columns(file, wanted)
    by_tenant: dict[str, list[tuple[int, int, int, int]]] = {}
    instants: dict[object, int] = {}
    numbers = [_whole(file, name, columns[name]) for name in wanted[2:]]
    for tenant, time, *row in zip(columns[names.org], columns[names.time], *numbers, strict=True):
        at_us = instants.get(time)
        if at_us is None:
            at_us = instants[time] = _instant(file, time)
        by_tenant.setdefault(str(tenant), []).append((at_us, row[0], row[1], row[2]))
    if not by_tenant:
        raise BadData(f"{file.name} has no rows")
    start_us = min(instants.values()) + given.first_day * DAY_US
    end_us = max(instants.values()) + MINUTE_US
    if given.days is not None:
        end_us = min(end_us, start_us + given.days * DAY_US)
    if end_us <= start_us:
        raise BadData(f"{file.name} ends before its day {given.first_day}")
    tenants = tuple(
        _tenant(file, name, by_tenant[name], start_us, end_us, gpus_per_node)
        for name in sorted(by_tenant)
    )
    lowered = [tenant.tenant for tenant in tenants]
    if len(set(lowered)) != len(lowered):
        raise BadData(f"{file.name}: two tenants differ only in upper and lower case")
    tenants = _copied(file, tenants, given.copies)
    return Trace(start_us=start_us, tenants=tuple(sorted(tenants, key=lambda it: it.tenant)))


def _copied(file: Path, tenants: tuple[TenantTrace, ...], copies: int) -> tuple[TenantTrace, ...]:
    """Each tenant and its copies, which live the same minutes from others on: of three the second
    begins after a third of them and ends with the first third."""
    made = list(tenants)
    for number in range(2, copies + 1):
        for tenant in tenants:
            at = len(tenant.busy) * (number - 1) // copies
            made.append(
                msgspec.structs.replace(
                    tenant,
                    tenant=f"{tenant.tenant}-{number}",
                    busy=tenant.busy[at:] + tenant.busy[:at],
                    queued=tenant.queued[at:] + tenant.queued[:at],
                )
            )
    seen: set[str] = set()
    for name in (tenant.tenant for tenant in made):
        if not NAME.accepts(name):
            raise BadData(
                f"{file.name}: a copy would be called {name!r}, which cannot be an org:"
                f" {NAME.words}; rename that one"
            )
        if name in seen:
            raise BadData(
                f"{file.name}: a copy would be called {name!r}, as another tenant is; rename that"
                " one"
            )
        seen.add(name)
    return tuple(made)


def _tenant(
    file: Path,
    name: str,
    rows: list[tuple[int, int, int, int]],
    start_us: int,
    end_us: int,
    gpus_per_node: int,
) -> TenantTrace:
    inside = sorted(row for row in rows if start_us <= row[0] < end_us)
    minutes = (end_us - start_us) // MINUTE_US
    if not NAME.accepts(name.lower()):
        raise BadData(f"{file.name}: tenant {name[:80]!r} cannot be an org: {NAME.words}")
    if [row[0] for row in inside] != list(range(start_us, end_us, MINUTE_US)):
        raise BadData(
            f"{file.name}: tenant {name!r} has {len(inside)} rows for {minutes} minutes;"
            " each minute stands once"
        )
    quotas = {row[1] for row in inside}
    if len(quotas) != 1:
        raise BadData(f"{file.name}: the quota of tenant {name!r} changes: {sorted(quotas)[:5]}")
    quota = quotas.pop()
    if quota <= 0 or quota % gpus_per_node:
        raise BadData(
            f"{file.name}: the quota of tenant {name!r} is {quota} GPUs, not whole nodes of"
            f" {gpus_per_node}"
        )
    if max(row[2] for row in inside) > quota or min(min(row[2:]) for row in inside) < 0:
        raise BadData(f"{file.name}: tenant {name!r} is busier than its quota, or below 0")
    return TenantTrace(
        tenant=name.lower(),
        quota_gpus=quota,
        busy=tuple(row[2] for row in inside),
        queued=tuple(row[3] for row in inside),
    )


def _whole(file: Path, name: str, values: Sequence[Any]) -> list[int]:
    try:
        return [int(value) for value in values]
    except (TypeError, ValueError):
        raise BadData(f"{file.name}: column {name!r} holds a value that is no number") from None


def _instant(file: Path, value: object) -> int:
    if isinstance(value, str):
        text = value
        try:
            value = datetime.fromisoformat(text)
        except ValueError:
            raise BadData(f"{file.name}: {text[:40]!r} is no instant") from None
    if not isinstance(value, datetime):
        raise BadData(f"{file.name}: a time is missing")
    moment = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    at_us = round(moment.timestamp() * 1_000_000)
    if at_us % MINUTE_US:
        raise BadData(f"{file.name}: {value} is no full minute")
    return at_us
