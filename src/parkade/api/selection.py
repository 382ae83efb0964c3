"""Which workloads a request is about: by name, user, phase, label and time."""

from datetime import datetime
from fnmatch import fnmatchcase
from typing import Annotated

import msgspec
from fastapi import Query

from parkade.api.translate.scalars import microseconds
from parkade.core.units import bounds
from parkade.core.units.names import WORKLOAD_NAME
from parkade.core.workloads.life import Phase
from parkade.core.workloads.workload import Workload

_LABEL = f"({WORKLOAD_NAME.pattern})(=({WORKLOAD_NAME.pattern}))?"
_PHASE = f"({'|'.join(Phase)})"
# Lists with commas between.
Labels = Annotated[
    str,
    Query(
        pattern=f"^({_LABEL}(,{_LABEL})*)?$",
        max_length=bounds.LABELS.most * (2 * WORKLOAD_NAME.longest + 2),
    ),
]
Phases = Annotated[str, Query(pattern=f"^({_PHASE}(,{_PHASE})*)?$", max_length=200)]


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for; what is None or empty leaves nothing out."""

    name: str | None
    """A shell's pattern: `*`, `?` and `[...]`."""

    user: str | None
    """Its name, with or without `@` and its org."""

    phases: frozenset[Phase]

    labels: tuple[tuple[str, str, str], ...]
    """Each in three parts, a key, `=` or nothing, a value; all of them must be there."""

    since_us: int | None
    """Not ended before."""

    def has(self, workload: Workload, phase: Phase) -> bool:
        """Whether a workload that is shown in this phase is one of them. Cost grows with its
        labels."""
        labels, ended_us = dict(workload.spec.labels), workload.ended_us
        return (
            (self.name is None or fnmatchcase(workload.spec.name, self.name))
            and self.user in (None, workload.user, workload.user.partition("@")[0])
            and (not self.phases or phase in self.phases)
            and all(_is_there(labels, *label) for label in self.labels)
            and (self.since_us is None or ended_us is None or ended_us >= self.since_us)
        )


def selection(
    *, name: str | None, user: str | None, phases: str, labels: str, since: datetime | None
) -> Selection:
    """What a request's parameters ask for."""
    return Selection(
        name=name,
        user=user,
        phases=frozenset(map(Phase, filter(None, phases.split(",")))),
        labels=tuple(each.partition("=") for each in labels.split(",") if each),
        since_us=None if since is None else microseconds(since),
    )


def _is_there(labels: dict[str, str], key: str, sign: str, value: str) -> bool:
    return labels.get(key) == value if sign else key in labels
