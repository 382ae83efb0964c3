"""What every command has: the user that asks for it."""

import msgspec


class Command(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    """Something asked for. Frozen values form no cycle, so the collector need not walk them."""

    by: str | None
