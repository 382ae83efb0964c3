"""The core as the cycle calls it: one value, so that a test may give a rule that fails."""

from collections.abc import Callable

import msgspec

from parkade.core.clearing.plan import Plan
from parkade.core.ledger.accounts import Transfer
from parkade.core.state.commands import AnyCommand, Submit
from parkade.core.state.events import AnyEvent
from parkade.core.state.world import World
from parkade.core.units.refusal import Refusal


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """Decisions, the one mutation, and the codec of what is written for ever."""

    empty: Callable[[], World]
    decide: Callable[[World, AnyCommand, int], tuple[AnyEvent, ...] | Refusal]
    plan: Callable[[World, Submit, int], Plan | Refusal]
    evolve: Callable[[World, AnyEvent], None]
    next_deadline_us: Callable[[World], int | None]
    take_deadline: Callable[[World], tuple[AnyEvent, ...]]
    urgent_markets: Callable[[World, tuple[AnyEvent, ...]], tuple[str, ...]]
    check: Callable[[World], None]
    transfers_of: Callable[[AnyEvent], tuple[Transfer, ...]]
    encode_event: Callable[[AnyEvent], bytes]
    decode_event: Callable[[bytes, int], AnyEvent]
    encode_snapshot: Callable[[World], bytes]
    decode_snapshot: Callable[[bytes], World]
