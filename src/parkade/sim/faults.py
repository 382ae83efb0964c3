"""What goes wrong, and for how long: drawn acts set it, the simulated doors ask for it.

Each pool has a weather of its own; a calm one changes nothing. Chances are parts of a thousand.
"""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

PassBy = Callable[[], Awaitable[None]]
"""Awaited before whatever an agent does outside itself; one that died never comes back from it."""


@dataclass(kw_only=True)
class Weather:
    """Between the control plane and one pool's agent, and inside its engine. Instants are those of
    the loop: what is bad until then."""

    chance: random.Random
    cut_until_us: int = 0
    """No call reaches the other side."""

    deaf_until_us: int = 0
    """Calls arrive and are carried out, their answers are lost."""

    delayed_until_us: int = 0
    delay_us: int = 0
    """How long a call may be on its way."""

    repeats_until_us: int = 0
    """Reports may arrive twice, the second time late."""

    engine_until_us: int = 0
    """Launches and looks fail at times, and looks are partial or slow."""

    refuses_until_us: int = 0
    """Launches are refused for good at times."""

    repairs_until_us: int = 0
    """Repairs and checks fail or hang at times."""

    def is_so(self, until_us: int, now_us: int, per_mille: int) -> bool:
        """Whether it happens at this call."""
        return now_us < until_us and self.chance.randrange(1000) < per_mille
