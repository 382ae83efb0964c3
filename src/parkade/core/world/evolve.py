"""The only code that changes the world: each event's effect, at a cost set by the event."""

from collections.abc import Callable
from typing import Any

from parkade.core.world import events as happened
from parkade.core.world.effects import desk, floor, lives, passes, selling
from parkade.core.world.world import World

__all__ = ["EFFECTS", "evolve"]


def evolve(world: World, event: happened.Event) -> None:
    """Applies one event. An assertion here is a bug that stops the process."""
    world.records.now_us = max(world.records.now_us, event.at_us)
    effect = EFFECTS.get(type(event))
    assert effect is not None, f"no effect for {type(event).__name__}"
    effect(world, event)


EFFECTS: dict[type[happened.Event], Callable[[World, Any], None]] = {
    happened.EpochOpened: desk.open_epoch,
    happened.ClockJumped: desk.doubt_clock,
    happened.ClockConfirmed: desk.trust_clock,
    happened.PoolOpened: floor.open_pool,
    happened.PricesSet: desk.set_prices,
    happened.OrgCreated: desk.create_org,
    happened.UserCreated: desk.create_user,
    happened.TokenAdded: desk.add_token,
    happened.TokenRevoked: desk.revoke_token,
    happened.MoneyMoved: desk.move_money,
    happened.GrantSet: desk.set_grant,
    happened.CapSet: desk.set_cap,
    happened.Reserved: selling.reserve,
    happened.ReservationPaid: selling.pay_reservation,
    happened.ReservationChanged: selling.change_reservation,
    happened.LendingSet: selling.set_lending,
    happened.Claimed: selling.claim,
    happened.ClaimSeated: selling.seat_claim,
    happened.Unclaimed: selling.unclaim,
    happened.Submitted: lives.submit,
    happened.PhaseChanged: lives.change_phase,
    happened.BidChanged: lives.change_bid,
    happened.StopOrdered: lives.order_stop,
    happened.NodeHealthSet: floor.set_health,
    happened.NodeCordoned: floor.cordon,
    happened.NodeUncordoned: floor.uncordon,
    happened.ReachabilityChanged: floor.change_reachability,
    happened.Cleared: passes.clear,
    happened.Launched: lives.launch,
    happened.Started: lives.start,
    happened.Checkpointed: lives.note_checkpoint,
    happened.Broken: lives.break_attempt,
    happened.Ended: lives.end,
    happened.BudgetNoted: lives.note_budget,
    happened.Forgotten: lives.forget,
}
