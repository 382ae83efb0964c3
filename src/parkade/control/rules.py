"""The core as the cycle calls it: one value, so that a test may give a rule that fails."""

from collections.abc import Callable

import msgspec

from parkade.core.ledger.accounts import Transfer
from parkade.core.units.refusal import Refusal
from parkade.core.world.commands import Command, Submit
from parkade.core.world.events import Event
from parkade.core.world.plan import Plan
from parkade.core.world.world import World


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """Decisions, the one mutation, and the codec of what is written for ever."""

    empty: Callable[[], World]
    decide: Callable[[World, Command, int], tuple[Event, ...] | Refusal]
    plan: Callable[[World, Submit, int], Plan | Refusal]
    evolve: Callable[[World, Event], None]
    next_deadline_us: Callable[[World], int | None]
    take_deadline: Callable[[World], tuple[Event, ...]]
    urgent_markets: Callable[[World, tuple[Event, ...]], tuple[str, ...]]
    check: Callable[[World], None]
    transfers_of: Callable[[Event], tuple[Transfer, ...]]
    encode_event: Callable[[Event], bytes]
    decode_event: Callable[[bytes, int], Event]
    encode_snapshot: Callable[[World], bytes]
    decode_snapshot: Callable[[bytes], World]
