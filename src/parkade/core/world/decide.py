"""`decide(world, command, now)`: what follows from a command, as events, or why not.

It never changes the world. A user's refusal is a value; an assertion here is our bug and refuses
that command alone.
"""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from parkade.core.units.refusal import Refusal
from parkade.core.world import commands as asked
from parkade.core.world import desk, floor, news, requests, selling
from parkade.core.world import events as happened
from parkade.core.world.clearing import run_clearing
from parkade.core.world.world import World

__all__ = ["decide"]

DECISIONS: dict[type[asked.Command], Callable[[World, Any, int], desk.Decision]] = {
    asked.OpenEpoch: desk.open_epoch,
    asked.ConfirmClock: desk.confirm_clock,
    asked.CreateOrg: desk.create_org,
    asked.CreateUser: desk.create_user,
    asked.AddToken: desk.add_token,
    asked.RevokeToken: desk.revoke_token,
    asked.Deposit: desk.deposit,
    asked.SetGrant: desk.set_grant,
    asked.SetCap: desk.set_cap,
    asked.SetPrices: desk.set_prices,
    asked.OpenPool: floor.open_pool,
    asked.FailNode: floor.fail_node,
    asked.RestoreNode: floor.restore_node,
    asked.CordonNode: floor.cordon_node,
    asked.UncordonNode: floor.uncordon_node,
    asked.ReportReachability: floor.report_reachability,
    asked.Reserve: selling.reserve,
    asked.EndReservation: selling.end_reservation,
    asked.Lend: selling.lend,
    asked.MakeClaim: selling.make_claim,
    asked.Unclaim: selling.unclaim,
    asked.Submit: requests.submit,
    asked.Hold: requests.hold,
    asked.Release: requests.release,
    asked.ChangeBid: requests.change_bid,
    asked.Cancel: requests.cancel,
    asked.ReportAttempts: news.report_attempts,
    asked.RunClearing: run_clearing,
}


def decide(
    world: World, command: asked.Command, now_us: int
) -> tuple[happened.Event, ...] | Refusal:
    """Events in order, or a refusal; `now_us` is never before the world's last instant."""
    assert now_us >= world.records.now_us, "the present never runs back"
    outcome = DECISIONS[type(command)](world, command, now_us)
    if isinstance(outcome, Refusal) or command.by is None:
        return outcome
    return tuple(replace(event, by=command.by) for event in outcome)
