"""What the cycle decides by: one value, so that a test may give a rule that fails."""

from collections.abc import Callable

import msgspec

from parkade.core.clearing.linking import linked_with
from parkade.core.clearing.plan import Plan, plan
from parkade.core.clearing.urgency import urgent_markets
from parkade.core.kernel.check import check
from parkade.core.kernel.deadlines import next_deadline_us, take_deadline
from parkade.core.kernel.decide import decide
from parkade.core.state.commands import AnyCommand, Submit
from parkade.core.state.events import AnyEvent
from parkade.core.state.world import World
from parkade.core.units.refusal import Refusal


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What is decided, and when: a test may replace these by rules that fail, or by a small market.
    What an event does and how it is written is the core's alone. `watch` is called after each
    event, before it is committed; it changes nothing, and what it raises stops the process. None:
    not watched, as in a server."""

    decide: Callable[[World, AnyCommand, int], tuple[AnyEvent, ...] | Refusal]
    plan: Callable[[World, Submit, int], Plan | Refusal]
    next_deadline_us: Callable[[World], int | None]
    take_deadline: Callable[[World], tuple[AnyEvent, ...]]
    urgent_markets: Callable[[World, tuple[AnyEvent, ...]], tuple[str, ...]]
    linked_with: Callable[[World, str], tuple[str, ...]]
    check: Callable[[World], None]
    watch: Callable[[World, AnyEvent], None] | None = None


RULES = Rules(
    decide=decide,
    plan=plan,
    next_deadline_us=next_deadline_us,
    take_deadline=take_deadline,
    urgent_markets=urgent_markets,
    linked_with=linked_with,
    check=check,
)
"""Those of the product."""
