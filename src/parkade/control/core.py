"""The production rules: those of `core.kernel`."""

from parkade.control.rules import Rules
from parkade.core.billing.charges import transfers_of
from parkade.core.clearing.plan import plan
from parkade.core.clearing.urgency import urgent_markets
from parkade.core.kernel.check import check
from parkade.core.kernel.deadlines import next_deadline_us, take_deadline
from parkade.core.kernel.decide import decide
from parkade.core.kernel.evolve import evolve
from parkade.core.state.codec import (
    decode_event,
    decode_snapshot,
    encode_event,
    encode_snapshot,
)
from parkade.core.state.world import Records, World

RULES = Rules(
    empty=lambda: World(Records()),
    decide=decide,
    plan=plan,
    evolve=evolve,
    next_deadline_us=next_deadline_us,
    take_deadline=take_deadline,
    urgent_markets=urgent_markets,
    check=check,
    transfers_of=transfers_of,
    encode_event=encode_event,
    decode_event=decode_event,
    encode_snapshot=encode_snapshot,
    decode_snapshot=decode_snapshot,
)
