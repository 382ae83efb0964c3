"""How fall-backs are counted: by a look at each clearing's outcome on its way.

The event of a clearing does not tell whether its seating fell back to the fabrics of the
allocation, so the outcome is looked at on its way through `clearing.changes`. Where a version has
no such flag, or records causes itself, that is used.
"""

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any, Self

from parkade.sim.dynamics.measure import word_of

CHANGES = "parkade.core.clearing.changes"


class FallBacks:
    """Looks at each clearing's outcome as the core compares it with the world."""

    def __init__(self) -> None:
        self.is_known = False
        self.count = 0
        self.was_last = False
        self.moved_by: dict[str, str] = {}
        """Why the last clearing moved each demand, where its outcome says so."""

        self._module: ModuleType | None = None
        self._original: Callable[..., Any] | None = None

    def __enter__(self) -> Self:
        self._module = importlib.import_module(CHANGES)
        self._original = getattr(self._module, "clear", None)
        if self._original is not None:
            setattr(self._module, "clear", self._looked_at)  # noqa: B010
        return self

    def __exit__(self, *_: object) -> None:
        if self._module is not None and self._original is not None:
            setattr(self._module, "clear", self._original)  # noqa: B010

    def _looked_at(self, *given: Any, **named: Any) -> Any:
        assert self._original is not None
        outcome = self._original(*given, **named)
        flag = getattr(outcome, "used_fallback_seating", None)
        self.is_known = self.is_known or flag is not None
        self.was_last = bool(flag)
        self.count += self.was_last
        reasons = {line.demand: word_of(getattr(line, "moved", None)) for line in outcome.lines}
        self.moved_by = {name: why for name, why in reasons.items() if why is not None}
        return outcome
