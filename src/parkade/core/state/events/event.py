"""What every event has: its instant and who asked for it; and the version of them all."""

import msgspec

EVENT_VERSION = 2


class Event(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="type",
    tag=True,
    omit_defaults=True,
    gc=False,
):
    """Something that happened at an instant; `by`: the user that asked for it, if one did.

    Frozen values form no cycle, so the collector need not walk them: they are many.
    """

    at_us: int
    by: str | None = None
