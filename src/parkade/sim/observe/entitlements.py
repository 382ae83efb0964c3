"""What each account owns of the fleet: told in a file, or inferred; the report says which.

Inferred, the first that applies: the GPUs of partitions that one account alone uses and that share
no node with others; the GPUs of nodes that its Slurm reservations were seen on; the most GPUs that
it ever held at once, in whole nodes. Where entitlements exceed the fleet together, all are cut in
the same proportion.
"""

from __future__ import annotations

import csv
import enum
from collections import defaultdict
from pathlib import Path

import msgspec

from parkade.core.units.visible import visible
from parkade.sim.observe.fleet import Fleet
from parkade.sim.observe.idle import Idle
from parkade.sim.observe.jobs import Jobs
from parkade.sim.observe.kinds import NodeKind, Sorted
from parkade.sim.replay.tables import BadData

MOST_ENTRIES = 10_000
MOST_BYTES = 1 << 20


class Basis(enum.StrEnum):
    """Where an entitlement is from."""

    FILE = "file"
    PARTITION = "partition"
    RESERVATION = "reservation"
    PEAK = "peak"


class Entitlement(msgspec.Struct, frozen=True, kw_only=True):
    """GPUs of one kind of nodes that are an account's."""

    account: int
    kind: int
    nodes: int
    gpus: int
    basis: Basis


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What a file says of an account."""

    gpus: int
    is_limit: bool
    """The account cannot hold more, as with `GrpTRES`; the replay of the policy keeps to it."""


def read_entitlements(file: Path) -> dict[str, Given]:
    """`account,gpus` and, if need be, `limit` (yes or no). Raises `BadData`."""
    what = f"{file}: write `account,gpus` or `account,gpus,limit` in the first line"
    try:
        with file.open(encoding="utf-8", newline="") as handle:
            rows = list(csv.reader(handle.read(MOST_BYTES).splitlines()))[: MOST_ENTRIES + 1]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadData(f"{file} cannot be read: {error}") from None
    if not rows or rows[0] not in (["account", "gpus"], ["account", "gpus", "limit"]):
        raise BadData(what)
    found: dict[str, Given] = {}
    for number, row in enumerate(rows[1:], 2):
        if not row:
            continue
        gpus = row[1].strip() if len(row) == len(rows[0]) else ""
        limit = row[2].strip() if len(row) == 3 else "no"
        if not (gpus.isascii() and gpus.isdigit() and len(gpus) <= 7) or limit not in ("yes", "no"):
            raise BadData(f"{file}, line {number}: {visible(','.join(row)[:80])!r}; {what}")
        found[row[0].strip()] = Given(gpus=int(gpus), is_limit=limit == "yes")
    return found


def entitlements_of(
    jobs: Jobs, fleet: Fleet, found: Sorted, use: list[Idle], given: dict[str, Given]
) -> tuple[Entitlement, ...]:
    """All of them; `use` is the use of each kind of nodes. A given one is of the kind that its
    account used most."""
    if given:
        asked = [
            (account, _most_used(account, use), entry.gpus, Basis.FILE)
            for name, entry in given.items()
            if (account := jobs.accounts.find(name)) is not None and entry.gpus
        ]
    else:
        owned = {**_by_reservation(jobs, fleet, found), **_by_partition(jobs, fleet, found)}
        asked = [
            (account, kind, *owned.get((account, kind), (one.peak_gpus, Basis.PEAK)))
            for kind, idle in enumerate(use)
            for account, one in sorted(idle.accounts.items())
            if one.peak_gpus
        ]
    made: list[Entitlement] = []
    for place, kind in enumerate(found.kinds):
        own = [it for it in asked if it[1] == place]
        wanted = [-(-gpus // kind.gpus_per_node) for _, _, gpus, _ in own]
        for (account, _, gpus, basis), nodes in zip(own, _fitted(wanted, kind), strict=True):
            if nodes:
                most = nodes * kind.gpus_per_node
                made.append(
                    Entitlement(
                        account=account,
                        kind=place,
                        nodes=nodes,
                        gpus=min(gpus, most) if basis is Basis.FILE else most,
                        basis=basis,
                    )
                )
    return tuple(made)


def _most_used(account: int, use: list[Idle]) -> int:
    hours = [it.accounts[account].used if account in it.accounts else 0.0 for it in use]
    return hours.index(max(hours))


def _fitted(wanted: list[int], kind: NodeKind) -> list[int]:
    """Whole nodes within the fleet: cut in proportion, the largest remainders rounded up."""
    total = sum(wanted)
    if total <= kind.nodes:
        return wanted
    cut = [count * kind.nodes // total for count in wanted]
    order = sorted(range(len(cut)), key=lambda it: (-(wanted[it] * kind.nodes % total), it))
    for place in order[: kind.nodes - sum(cut)]:
        cut[place] += 1
    return cut


Owned = dict[tuple[int, int], tuple[int, Basis]]


def _by_partition(jobs: Jobs, fleet: Fleet, found: Sorted) -> Owned:
    accounts: defaultdict[int, set[int]] = defaultdict(set)
    for job in found.which:
        accounts[jobs.partition[job]].add(jobs.account[job])
    shared: defaultdict[int, int] = defaultdict(int)
    for part in fleet.partitions:
        for node in part.nodes:
            shared[node] += 1
    made: Owned = {}
    for part in fleet.partitions:
        users = accounts.get(jobs.partitions.find(part.name) or 0, set())
        is_own = len(users) == 1 and all(shared[node] == 1 for node in part.nodes)
        if is_own and len(part.nodes) < len(fleet.nodes):
            (account,) = users
            _add(made, account, fleet, found, part.nodes, Basis.PARTITION)
    return made


def _by_reservation(jobs: Jobs, fleet: Fleet, found: Sorted) -> Owned:
    accounts: defaultdict[int, set[int]] = defaultdict(set)
    lists: defaultdict[int, set[int]] = defaultdict(set)
    for job in found.which:
        if jobs.reservation[job]:
            accounts[jobs.reservation[job]].add(jobs.account[job])
            lists[jobs.reservation[job]].add(jobs.hosts[job])
    place_of = {node.name: place for place, node in enumerate(fleet.nodes)}
    nodes: defaultdict[int, set[int]] = defaultdict(set)
    for reservation, users in accounts.items():
        if len(users) == 1:
            (account,) = users
            for hosts in lists[reservation]:
                nodes[account] |= {
                    place_of[name] for name in jobs.host_lists[hosts] if name in place_of
                }
    made: Owned = {}
    for account, own in sorted(nodes.items()):
        _add(made, account, fleet, found, tuple(sorted(own)), Basis.RESERVATION)
    return made


def _add(
    made: Owned, account: int, fleet: Fleet, found: Sorted, nodes: tuple[int, ...], basis: Basis
) -> None:
    for place, kind in enumerate(found.kinds):
        gpus = sum(
            fleet.nodes[it].gpus
            for it in nodes
            if (fleet.nodes[it].model, fleet.nodes[it].gpus) == (kind.model, kind.gpus_per_node)
        )
        if gpus:
            before = made.get((account, place), (0, basis))[0]
            made[account, place] = (before + gpus, basis)
