"""Faults planted into what the shipped program does with jobs that it knows nothing of, and with
users whom an engine does not let in, for the fuzz to find."""

from collections.abc import Callable
from typing import Any

import pytest

import parkade.control.outbox as outbox
import parkade.core.clearing.input as clearing_input
import parkade.core.running.unadmitted as unadmitted
from parkade.control import observing
from parkade.core.state import events
from parkade.core.state.world import World
from tests.sim.faults import in_decisions

Patch = pytest.MonkeyPatch


def hands_over_beside_what_is_left(patch: Patch) -> None:
    """A job's node counts as its owner's while a guest is still there."""
    patch.setattr("parkade.core.leasing.started._is_left", lambda *_: True)


def claims_more_than_is_reserved(patch: Patch) -> None:
    """What runs is claimed, however much of the reservation is claimed already."""

    def without_its_own(world: World, event: events.AnyEvent) -> Any:
        if isinstance(event, events.Unclaimed) and len(world.records.claims) > 1:
            return
        yield event

    in_decisions(patch, without_its_own)


def gives_a_jobs_nodes_to_others(patch: Patch) -> None:
    """Nodes on which owners' jobs run take part in clearings."""
    patch.setattr(clearing_input, "started_nodes", lambda *_: frozenset())


def leaves_work_out_of_the_fence(patch: Patch) -> None:
    """A node that is observed leaves the fence while its guest saves."""
    patch.setattr(observing, "_is_left", lambda *_: True)
    patch.setattr(outbox, "unfenced_of", observing.unfenced_of)


def tries_all_at_once(patch: Patch) -> None:
    """All work of a user whom the engine refused is tried together."""
    patch.setattr(unadmitted, "kept_out", lambda *_: frozenset())


def waits_no_longer_each_time(patch: Patch) -> None:
    """Each wait of a refused user is as long as the first."""
    patch.setattr(unadmitted, "MOST_DOUBLINGS", 0)


SLURM_FAULTS: dict[str, tuple[Callable[[Patch], None], tuple[str, ...]]] = {
    fault.__name__: (fault, ("slurm",))
    for fault in (
        hands_over_beside_what_is_left,
        claims_more_than_is_reserved,
        gives_a_jobs_nodes_to_others,
        leaves_work_out_of_the_fence,
        tries_all_at_once,
        waits_no_longer_each_time,
    )
}
"""By name: the fault, and the troubles of stories that can meet it."""
