"""How a market sizes the buffer of each fabric, and what was decided last."""

import msgspec

from parkade.core.units.fraction import Fraction


class BufferShare(msgspec.Struct, frozen=True, kw_only=True, tag="share", gc=False):
    """A share of the fabric's nodes, rounded up, whatever happens."""

    share: Fraction


class BufferGrowth(msgspec.Struct, frozen=True, kw_only=True, tag="growth", gc=False):
    """What is down now, and the `quantile` of how much that number grew within `horizon_us` in the
    past: the time in which lent nodes can be had back and the buffer made larger."""

    quantile: Fraction
    horizon_us: int


BufferPolicy = BufferShare | BufferGrowth


class FabricBuffer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One fabric when it was sized: its nodes, how many were down, how many are held."""

    fabric: str
    nodes: int
    down: int
    held: int


class SizedBuffers(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The buffers of a market since `at_us`, under the policy of then."""

    at_us: int
    policy: BufferPolicy
    fabrics: tuple[FabricBuffer, ...]
