"""Which lists of capacity there are: reservations, each once, and then spot, on-demand or both.

Entries are texts here: `reservation/acme`, `spot`, `on-demand`. The spec's own model and the core
both ask.
"""

from collections.abc import Sequence

from parkade.core.units.bounds import MOST_ENTRIES

SPOT, ON_DEMAND = "spot", "on-demand"
LAST_ENTRIES = ((SPOT,), (ON_DEMAND,), (SPOT, ON_DEMAND))
"""What stands after the reservations."""

MOST_RIGHTS = MOST_ENTRIES - len(LAST_ENTRIES[-1])
LIST_WORDS = (
    f"up to {MOST_RIGHTS} reservations, each once, and then spot, on-demand, or spot and on-demand"
)


def is_list(entries: Sequence[str]) -> bool:
    """Whether these are the entries of a list, in an order that it may have."""
    rights = [it for it in entries if it not in (SPOT, ON_DEMAND)]
    is_known = len(set(rights)) == len(rights) <= MOST_RIGHTS
    return is_known and tuple(entries[len(rights) :]) in LAST_ENTRIES
