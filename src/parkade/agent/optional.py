"""What an engine may do beyond its contract; an agent finds it by the methods' names."""

from typing import Protocol, runtime_checkable

from parkade.ports import DesiredState, OwnerReport


@runtime_checkable
class TellsChanges(Protocol):
    """An optional capability of an engine: it says when something changed."""

    async def wait_changed(self, timeout_s: float) -> None:
        """Returns at a change, or after the time given."""
        ...


@runtime_checkable
class ServesOwners(Protocol):
    """An optional capability of an engine with a queue of its own: it fences the pool's nodes,
    tells of other jobs there, and lets owners' jobs run on the nodes that they were given."""

    async def serve_owners(self, desired: DesiredState) -> OwnerReport | None:
        """As of the last look at everything; None where that is not known."""
        ...


@runtime_checkable
class KeepsLeases(Protocol):
    """An optional capability of an engine: it ends guests that the control plane cannot reach."""

    async def renew_leases(self) -> None:
        """The control plane was heard: no lease lapses before its span from now."""
        ...
