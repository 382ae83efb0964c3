"""Until when the folder of a workload is kept at the agent that asks, and what orgs keep there.

A folder is due `folder_retention` after its workload's end, a term of its market. The agent may run
on from a life of the journal that a restore has taken back, where the same name meant another
workload; so a folder is judged only if this journal holds the launches that lie in it. All else is
answered alike, with "keep it": what waits or runs, what is kept for ever, and what is not known.

The record of a workload leaves the world after `retention`, which may be earlier. What was told of
such a folder until then holds; where nothing was told, as to an agent that was away, its time
begins with the question.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from parkade.core.running.expiry import folder_due_us
from parkade.core.state.codec import decode_event
from parkade.core.state.events import Launched
from parkade.core.state.world import World
from parkade.ports import FolderAnswer, FolderReport, KeptOfOrg, Store, WorkloadFolder

MOST_FOLDERS = 1_000
_ID = re.compile(r"w([1-9][0-9]{0,17})")


def ends_of(world: World, report: FolderReport, now_us: int) -> tuple[int | None, ...]:
    """A view: until when each folder is kept, if it is this journal's; None: as long as it stands.
    Cost grows with the nodes."""
    records = world.records
    nodes = (node for node in records.nodes.values() if node.pool == report.pool)
    terms = [records.markets[name].terms for name in dict.fromkeys(node.market for node in nodes)]
    spans = [each.folder_retention_us for each in terms]
    longest_us = max((span for span in spans if span is not None), default=None)
    if None in spans:
        longest_us = None
    return tuple(_end_of(world, one, now_us, longest_us) for one in report.folders)


def _end_of(
    world: World, folder: WorkloadFolder, now_us: int, longest_us: int | None
) -> int | None:
    workload = world.records.workloads.get(folder.workload)
    if workload is None:
        number = _ID.fullmatch(folder.workload)
        was_here = number and int(number[1]) <= world.records.counters.get("workload", 0)
        if not was_here or longest_us is None or not _are_sequenced(folder):
            return None
        return now_us + longest_us if folder.until_us is None else folder.until_us
    dates = [ordered_us for _, _, ordered_us in folder.launches]
    is_meant = workload.org == folder.org and all(
        date is not None and date >= workload.submitted_us for date in dates
    )
    due_us = folder_due_us(world, workload)
    if not is_meant or due_us is None:
        return None
    return max(due_us, folder.until_us or 0)


def _are_sequenced(folder: WorkloadFolder) -> bool:
    return all(sequence is not None for _, sequence, _ in folder.launches)


def answers(
    store: Store, report: FolderReport, ends: Sequence[int | None], now_us: int
) -> list[FolderAnswer]:
    """For the agent. Costs two look-ups for each folder that has an end."""
    made = []
    for folder, end in zip(report.folders, ends, strict=True):
        until_us = end if end is not None and _is_of(store, folder) else None
        made.append(
            FolderAnswer(
                workload=folder.workload,
                org=folder.org,
                until_us=until_us,
                is_due=until_us is not None and until_us <= now_us,
            )
        )
    return made


def _is_of(store: Store, folder: WorkloadFolder) -> bool:
    """Whether the journal holds the launches, as far as they say where."""
    return bool(folder.launches) and all(
        sequence is None or _was_launched(store, attempt, sequence, ordered_us)
        for attempt, sequence, ordered_us in folder.launches
    )


def _was_launched(store: Store, attempt: str, sequence: int, ordered_us: int | None) -> bool:
    if not 1 <= sequence <= store.last_sequence():
        return False
    (entry,) = store.entries(after=sequence - 1, limit=1)
    if entry.type != Launched.__name__:
        return False
    event = decode_event(entry.body, entry.version)
    return isinstance(event, Launched) and (event.attempt.attempt, event.attempt.ordered_us) == (
        attempt,
        ordered_us,
    )


def sum_of(org: str, by_pool: Mapping[str, Iterable[KeptOfOrg]]) -> KeptOfOrg | None:
    """What all pools that told keep of an org; None where none told."""
    if not by_pool:
        return None
    found = [one for kept in by_pool.values() for one in kept if one.org == org]
    return KeptOfOrg(
        org=org,
        folders=sum(one.folders for one in found),
        bytes=sum(one.bytes for one in found),
        is_counted=all(one.is_counted for one in found),
    )
