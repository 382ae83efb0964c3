"""The production rules: those of `core.world`."""

from parkade.control.rules import Rules
from parkade.core.world.check import check
from parkade.core.world.codec import (
    decode_event,
    decode_snapshot,
    encode_event,
    encode_snapshot,
)
from parkade.core.world.deadlines import next_deadline_us, take_deadline
from parkade.core.world.decide import decide
from parkade.core.world.evolve import evolve
from parkade.core.world.money import transfers_of
from parkade.core.world.plan import plan
from parkade.core.world.urgency import urgent_markets
from parkade.core.world.world import Records, World

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
