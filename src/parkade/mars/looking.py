"""Which node of ours the cluster is asked about next, beside the drains that verdicts ask for.

Two kinds of nodes. Those whose drain was begun and not seen to be done: at once after a start,
before anything is drained, since a command of the program before may have drained them; then at
most each `AGAIN_US`, and the more rarely the longer ago it began: after 1, 2, 4, 8 … minutes. And
those that we drained, which a person may have resumed: one a round, each at most each `AGAIN_US`,
the one first whose last look is longest ago; at once where the cluster's engine told something of
it.
"""

from collections.abc import Callable, Iterable, Sequence

from parkade.core.units.time import MINUTE_US
from parkade.mars.drain_journal import OwnDrain

AGAIN_US = MINUTE_US
"""Between two looks at one node, or whether what the cluster itself refused may be drained now."""


class DrainLooks:
    """See the module; costs the drains of ours."""

    def __init__(self) -> None:
        self._looked_us: dict[str, int] = {}
        self._is_owed = False

    def new_round(self) -> None:
        """One look at a drain that stands is owed."""
        self._is_owed = True

    def look_now(self, nodes: Iterable[str]) -> None:
        """Something was told of these: they may be looked at again."""
        for node in nodes:
            self._looked_us.pop(node, None)
        self._is_owed = True

    def looked(self, node: str, now_us: int) -> None:
        """The cluster was asked."""
        self._looked_us[node] = now_us

    def first(self, unsure: Sequence[OwnDrain]) -> str | None:
        """A node that must be asked about before anything is drained."""
        return next((each.node for each in unsure if each.node not in self._looked_us), None)

    def next(self, unsure: Sequence[OwnDrain], own: Sequence[OwnDrain], now_us: int) -> str | None:
        """A node to be asked about while nothing is drained; None for none."""
        for each in unsure:
            asked_us = self._looked_us.get(each.node)
            age_us = 0 if asked_us is None else asked_us - each.at_us
            if self._is_due(each.node, now_us, max(AGAIN_US, age_us)):
                return each.node
        if not self._is_owed:
            return None
        self._is_owed = False
        due = [each.node for each in own if self._is_due(each.node, now_us, AGAIN_US)]
        return min(due, key=lambda node: self._looked_us.get(node, 0), default=None)

    def _is_due(self, node: str, now_us: int, after_us: int) -> bool:
        """Where the wall clock was set back since, it is not known how long ago that was."""
        asked_us = self._looked_us.get(node)
        return asked_us is None or not 0 <= now_us - asked_us < after_us


class Refusals:
    """When the cluster was last asked about drains that it refused, by verdict."""

    def __init__(self) -> None:
        self._asked_us: dict[str, int] = {}

    def asked(self, verdict: str, now_us: int) -> None:
        """It was, and may not be again at once."""
        self._asked_us[verdict] = now_us

    def forget(self, verdict: str) -> None:
        """It may be asked again."""
        self._asked_us.pop(verdict, None)

    def keep(self, stands: Callable[[str], bool]) -> None:
        """Those of verdicts that stand."""
        self._asked_us = {name: at for name, at in self._asked_us.items() if stands(name)}

    def may_ask(self, verdict: str, now_us: int) -> bool:
        """Whether it was not asked of late. Where the wall clock was set back since, it may be
        asked: it is not known how long ago that was."""
        since_us = now_us - self._asked_us.get(verdict, now_us - AGAIN_US)
        return not 0 <= since_us < AGAIN_US
