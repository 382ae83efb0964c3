"""The journal of each landed version must replay for ever: old files are read, never rewritten.

`python -m tests.core.state.test_kept_journal` writes the files of the present version that are not
there yet: one of nearly every event, and one for what was added to the version since.
"""

import json
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from msgspec.structs import replace

from parkade.core.fleet.buffer import BufferGrowth, BufferShare
from parkade.core.fleet.pool import TakenNode
from parkade.core.healing.symptom import Source
from parkade.core.healing.topology import Surroundings
from parkade.core.healing.verdict import Action, Level
from parkade.core.kernel.check import check
from parkade.core.kernel.evolve import evolve
from parkade.core.ledger.accounts import org_account
from parkade.core.reservations.owner_job import OwnerJob
from parkade.core.state import commands, events
from parkade.core.state.codec import decode_event, encode_event
from parkade.core.state.events import EVENT_VERSION
from parkade.core.state.people import CapPeriod, Role
from parkade.core.state.world import Records, World
from parkade.core.units.fraction import Fraction
from parkade.core.units.money import MICROS
from parkade.core.units.time import HOUR_US, SECOND_US
from parkade.core.workloads.deadline import DeadlineTerms
from parkade.core.workloads.life import Cause
from parkade.core.workloads.moves import OtherMarket
from parkade.core.workloads.observed import EnginePhase
from parkade.core.workloads.spec import Capacity, CapacityKind, Resize
from tests import builders
from tests.core.clearing.two_markets import TwoMarkets
from tests.core.kernel.story import Parkade
from tests.core.repairing.sick import DEGRADED, Sick

KEPT = Path(__file__).parent / "kept"


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A journal and what its world must come to."""

    version: int
    balances: dict[str, int]
    phases: dict[str, str]
    events: tuple[msgspec.Raw, ...]


def a_year() -> Parkade:
    """A story in which nearly everything happens."""
    parkade = Parkade(retention_us=2 * HOUR_US)
    parkade.org("lab")
    parkade.do(commands.SetGrant(by=None, org="lab", micros=MICROS, every_us=HOUR_US))
    parkade.do(builders.create_user("eve", "lab", role=Role.OWNER, unix_name="eve"))
    parkade.do(commands.SetCap(by=None, user="eve", cap_micros=9 * MICROS))
    parkade.do(commands.AddToken(by=None, token="t", user="eve", digest="ab" * 32))
    parkade.do(commands.RevokeToken(by=None, token="t"))
    parkade.reserve("acme", 2, hours=3)
    parkade.lend("acme", 5, keep=1)
    gang = parkade.bid("lab", 9, nodes=2, max_spend=30)
    sure = parkade.on_demand("studio", nodes=2)
    parkade.run(900)
    parkade.saved(gang, 7)
    claim = parkade.claim("acme", 1)
    own = parkade.on_reservation("acme", "acme")
    parkade.run(300)
    parkade.do(commands.Unclaim(by=None, claim=claim))
    parkade.do(commands.CordonNode(by=None, node="b3", reason="look"))
    parkade.do(commands.UncordonNode(by=None, node="b3"))
    parkade.fail(parkade.nodes_of(own)[0])
    parkade.run(300)
    held = parkade.bid("late", 3)
    parkade.do(commands.Hold(by=None, workload=held))
    parkade.do(commands.Release(by=None, workload=held))
    parkade.do(commands.ChangeBid(by=None, workload=held, limit_price_micros=20 * MICROS))
    parkade.run(60)
    parkade.do(commands.Cancel(by=None, workload=held, now=False))
    parkade.do(commands.ReportReachability(by=None, pool="pool", is_reachable=False))
    parkade.do(commands.ReportReachability(by=None, pool="pool", is_reachable=True))
    parkade.do(
        commands.SetPrices(
            by=None,
            market="pool",
            pay_as_you_go_micros=13 * MICROS,
            reservation_rate_micros=None,
            public_floor_micros=None,
        )
    )
    parkade.run(7200)
    if parkade.workload(sure).attempt is not None:
        parkade.ended(sure)
    parkade.run(6 * 3600)
    change_the_fleet(parkade)
    return parkade


def a_silence() -> Parkade:
    """Guests with a lease: one is concluded, one tells of its lapse; an owner waits."""
    parkade = Parkade(agent_lease_us=600 * SECOND_US)
    parkade.org("lab")
    parkade.reserve("acme", 1)
    guests = [parkade.bid("lab", 9), parkade.bid("lab", 8)]
    parkade.on_reservation("acme", "acme")
    parkade.run(120)
    silent = commands.ReportReachability(by=None, pool="pool", is_reachable=False)
    heard = commands.ReportReachability(by=None, pool="pool", is_reachable=True)
    parkade.do(silent)
    parkade.pass_time(1200)
    parkade.do(heard)
    parkade.run(120)
    parkade.do(silent)
    parkade.pass_time(620)
    parkade.do(heard)
    seen = builders.observed(
        parkade.attempt(guests[0]).attempt,
        generation=parkade.attempt(guests[0]).generation,
        started_us=parkade.attempt(guests[0]).started_us,
        lapsed_us=parkade.now_us - 5 * SECOND_US,
    )
    parkade.do(commands.ReportAttempts(by=None, pool="pool", attempts=(seen,)))
    parkade.stop_all()
    parkade.run(120)
    return parkade


def change_the_fleet(parkade: Parkade) -> None:
    """Nodes come and go, a second pool opens and closes, terms change with a date."""
    second = builders.open_pool("second", {"x": 1}, market="pool", opens=None)
    parkade.do(second)
    more = commands.Supply(market="pool", opens=None, fabrics=(("x", ("x2",)),))
    parkade.do(commands.AddNodes(by=None, pool="second", supply=more))
    for node in ("x1", "x2"):
        parkade.do(commands.DrainNode(by=None, node=node, reason="sold"))
    parkade.do(commands.UndrainNode(by=None, node="x1"))
    parkade.do(commands.DrainNode(by=None, node="x1", reason="sold"))
    parkade.do(commands.RemoveNode(by=None, node="x2"))
    parkade.do(commands.ClosePool(by=None, pool="second"))
    change = commands.TermsChange(backoff_us=9 * SECOND_US)
    later_us = parkade.now_us + HOUR_US
    parkade.do(commands.ChangeTerms(by=None, market="pool", change=change, from_us=later_us))
    for _ in range(2):
        parkade.bid("poor", 20, nodes=3)
    parkade.clear()
    parkade.start_all()
    rich = parkade.bid("rich", 90, nodes=3)
    parkade.clear()
    parkade.do(commands.Hold(by=None, workload=rich))
    parkade.run(2 * 3600)


def a_sick_fleet() -> Parkade:
    """Verdicts, guards, repairs that fail and succeed, a node returned, one retired, one waived."""
    parkade = Sick(fabrics={"a": 4, "b": 3})
    gang = parkade.bid("lab", 9, nodes=2)
    parkade.clear()
    parkade.started(gang)
    parkade.saved(gang, 7)
    parkade.verdict("a4", level=Level.WARN, action=Action.NONE)
    sick = parkade.nodes_of(gang)[0]
    parkade.verdict(sick, **DEGRADED)
    parkade.verdict(sick, "v2")
    parkade.run(60)
    parkade.healed(sick)
    parkade.ended(gang)
    parkade.verdict("a1", "v3")
    parkade.repaired("a1")
    parkade.repaired("a1", is_done=False, says="GPU 0 fails")
    parkade.repaired("a1")
    parkade.repaired("a1", is_done=False, says="GPU 0 fails again")
    parkade.do(commands.SetAutomation(by=None, reason="stop", is_on=False))
    parkade.verdict("a2")
    parkade.do(commands.SetAutomation(by=None, reason="go on", is_on=True))
    parkade.tick(31 * 60)
    parkade.fail("a2")
    parkade.run(60)
    return parkade


def a_day_of_debts() -> Parkade:
    """What version 2 learnt later: debts, late starts, shortages, caps, deposits, start limits."""
    parkade = Parkade(
        fabrics={"a": 3},
        buffer_nodes=0,
        public_floor_micros=1,
        start_limit_us=900 * SECOND_US,
        payout_cap=Fraction(numerator=1, denominator=1),
        window_deposit=Fraction(numerator=1, denominator=10),
    )
    parkade.reserve("acme", 2, in_hours=20, hours=5)
    guest = parkade.bid("guest", 5, nodes=3)
    parkade.clear()
    parkade.started(guest)
    first = parkade.bid("rich", 20, nodes=3)
    parkade.clear()
    parkade.bid("rich", 40, nodes=3)
    parkade.clear()
    parkade.ended(guest, code=85)
    parkade.tick(600)
    parkade.start_all()
    parkade.bid("other", 60, nodes=2)
    parkade.clear()
    parkade.stop_all()
    parkade.do(commands.ReportReachability(by=None, pool="pool", is_reachable=False))
    parkade.tick(60)
    parkade.do(commands.ReportReachability(by=None, pool="pool", is_reachable=True))
    parkade.start_all()
    lowered = next(it for it in parkade.world.live if parkade.workload(it).org == "other")
    lower = commands.ChangeBid(by=None, workload=lowered, limit_price_micros=50 * MICROS)
    parkade.do(lower)
    parkade.do(commands.Cancel(by=None, workload=first, now=True))
    for name in tuple(parkade.world.live):
        parkade.do(commands.Cancel(by=None, workload=name, now=True))
    parkade.stop_all()
    parkade.tick(20 * HOUR_US // SECOND_US)
    parkade.lend("acme", 30)
    parkade.bid("lab", 60, nodes=2)
    parkade.clear()
    parkade.start_all()
    parkade.tick(1800)
    claim = parkade.claim("acme", 2)
    parkade.stop_all()
    parkade.fail("a1")
    parkade.fail("a2")
    parkade.tick(3 * 3600)
    parkade.do(commands.Unclaim(by=None, claim=claim))
    parkade.bid("slow", 70)
    parkade.clear()
    parkade.tick(3 * 3600)
    return parkade


def a_change_of_tenants() -> Parkade:
    """What is sanitised between two orgs: well, failing once, failing for good."""
    parkade = Sick(fabrics={"a": 1}, buffer_nodes=0, turns=False)
    for org, fails in (("lab", 0), ("acme", 1), ("lab", 2), ("studio", 0)):
        bid = parkade.bid(org, 9)
        parkade.clear()
        for _ in range(fails):
            parkade.turned("a1", is_done=False, says="a process is left")
        parkade.healed("a1")
        while parkade.turning():
            parkade.turned("a1")
        parkade.clear()
        parkade.started(bid)
        parkade.tick(60)
        parkade.ended(bid)
    return parkade


def a_crowded_node() -> Parkade:
    """Ranks and orgs that share a node, and seats given up twice before a first process."""
    parkade = Parkade(fabrics={"a": 2}, gpus=8, buffer_nodes=0, shared_nodes=True)
    gang = parkade.bid("lab", 9, nodes=3, gpus=2, spread=False)
    parkade.clear()
    parkade.started(gang)
    guest = parkade.bid("acme", 9, gpus=2)
    parkade.clear()
    parkade.started(guest)
    for _ in range(2):
        idle = parkade.bid("studio", 9, gpus=8)
        parkade.clear()
        parkade.run(600, obey=False)
        parkade.do(commands.Cancel(by=None, workload=idle, now=True))
        attempt = parkade.attempt(idle)
        seen = builders.observed(
            attempt.attempt,
            generation=attempt.generation,
            phase=EnginePhase.RELEASED,
            started_us=None,
            released_us=parkade.now_us,
            exits=(),
            engine_state="released",
        )
        parkade.do(commands.ReportAttempts(by=None, pool="pool", attempts=(seen,)))
        parkade.run(60, obey=False)
    parkade.ended(guest)
    parkade.ended(gang)
    return parkade


def a_sized_buffer() -> Parkade:
    """A buffer by growth, then by share; nodes fail and come back in between."""
    quantile = Fraction(numerator=9, denominator=10)
    parkade = Sick(
        fabrics={"a": 6}, buffer=BufferGrowth(quantile=quantile, horizon_us=12 * HOUR_US)
    )
    for node in ("a1", "a2"):
        parkade.tick(8 * 3600)
        parkade.fail(node)
    parkade.do(commands.RestoreNode(by=None, node="a1"))
    parkade.healed("a1")
    parkade.tick(24 * 3600)
    policy = BufferShare(share=Fraction(numerator=1, denominator=2))
    change = commands.TermsChange(buffer=policy)
    parkade.do(commands.ChangeTerms(by=None, market="pool", change=change, from_us=None))
    parkade.reserve("acme", 3)
    parkade.tick(8 * 3600)
    return parkade


def a_suspected_rack() -> Parkade:
    """Nodes of a rack that fall sick at once; the third is held for it."""
    parkade = Sick(fabrics={f"f{n:02}x": 4 for n in range(12)}, limited=True)
    whole = Fraction(numerator=1, denominator=1)
    lifted = commands.SetAutomation(by=None, reason="t", fabric_share=whole, fleet_share=whole)
    parkade.do(lifted)
    told = tuple(Surroundings(node=f"f{n:02}x1", rack="r1") for n in range(12))
    parkade.do(commands.ReportSurroundings(by=None, pool="pool", nodes=told))
    for number in range(3):
        parkade.verdict(f"f{number:02}x1", sources=(Source.KERNEL_LOG, Source.NVML))
    return parkade


def a_clock_set_ahead() -> Parkade:
    """A jump that is confirmed, and three hours that the leases of a silent pool lack."""
    parkade = Parkade(agent_lease_us=600 * SECOND_US)
    parkade.org("lab")
    parkade.bid("lab", 9)
    parkade.run(120)
    parkade.do(commands.ReportReachability(by=None, pool="pool", is_reachable=False))
    jumped = events.ClockJumped(at_us=parkade.now_us, from_us=parkade.now_us)
    advanced = events.ClockAdvanced(at_us=parkade.now_us, by_us=3 * HOUR_US)
    parkade.happen((jumped,))
    parkade.do(commands.ConfirmClock(by=None))
    parkade.happen((advanced,))
    parkade.pass_time(3 * 3600 + 1200)
    parkade.do(commands.ReportReachability(by=None, pool="pool", is_reachable=True))
    parkade.run(120)
    return parkade


def late_starts() -> Parkade:
    """Two attempts without a first process: the one has the minutes that a clock set ahead took
    from it, the other is stopped after the limit."""
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0, start_limit_us=600 * SECOND_US)
    lucky = parkade.bid("lab", 9)
    parkade.clear()
    leap_us = 500 * SECOND_US
    parkade.happen((events.ClockAdvanced(at_us=parkade.now_us, by_us=leap_us, unheard_us=leap_us),))
    parkade.tick(500)
    parkade.bid("lab", 9)
    parkade.clear()
    parkade.tick(599)
    parkade.started(lucky)
    parkade.tick(60)
    parkade.stop_all()
    parkade.ended(lucky)
    return parkade


def a_short_claim() -> Parkade:
    """A claim whose nodes break: it keeps the others, is promised a guest's node, and is whole
    again."""
    parkade = Parkade(fabrics={"a": 4}, buffer_nodes=0)
    parkade.reserve("acme", 3)
    parkade.lend("acme", 5)
    parkade.bid("lab", 9)
    parkade.clear()
    parkade.start_all()
    claim = parkade.claim("acme", 3)
    parkade.run(300)
    broken = parkade.world.records.claims[claim].seats[:2]
    for seat in broken:
        parkade.fail(seat.node)
    parkade.run(1800)
    for seat in broken:
        parkade.do(commands.RestoreNode(by=None, node=seat.node))
    parkade.run(600)
    parkade.do(commands.Unclaim(by=None, claim=claim))
    parkade.run(3600)
    return parkade


def an_evening_of_scripts() -> Parkade:
    """Labels, ends with the exit codes that a shell goes on with, and money moved by hand."""
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0)
    for code, signal in ((0, None), (7, None), (None, 9)):
        bid = parkade.bid("lab", 9, nodes=2, labels=(("run", "big"),))
        parkade.clear()
        parkade.started(bid)
        parkade.tick(60)
        parkade.ended(bid, code=code, signal=signal)
    for is_refund in (False, True):
        by_hand = commands.Adjust(
            by=None, org="lab", micros=10, is_refund=is_refund, reason="by hand"
        )
        parkade.do(by_hand)
    return parkade


def a_chain_of_work() -> Parkade:
    """Workloads that wait for others: until they start, succeed, fail, end; one is cancelled."""
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0)
    first = parkade.bid("lab", 9, nodes=2)
    for condition in ("after", "after_ok", "after_not_ok", "after_any"):
        parkade.bid("lab", 9, after=((condition, first),))
    last = parkade.bid("lab", 9, after=(("after_ok", "w2"), ("after_any", first)))
    parkade.do(commands.Hold(by=None, workload=last))
    parkade.do(commands.Release(by=None, workload=last))
    parkade.clear()
    parkade.started(first)
    parkade.ended(first)
    parkade.run(60)
    parkade.ended("w2")
    parkade.run(60)
    return parkade


def an_array() -> Parkade:
    """Members that are opened, cancelled, bid for and retried, some of them before they are open;
    an array that waits for another, and one that can never begin."""
    parkade = Parkade(fabrics={"a": 3}, buffer_nodes=0)
    first = parkade.bid("lab", 9, array="0-6%2", max_spend=50)
    parkade.bid("lab", 9, array="1,3", after=(("after_ok", first),))
    parkade.bid("lab", 9, array="0-1", after=(("after_not_ok", first),))
    some = commands.ChangeBid(
        by=None, workload=first, limit_price_micros=12 * MICROS, members=((4, 4),)
    )
    parkade.do(some)
    parkade.do(commands.Hold(by=None, workload=first))
    parkade.do(commands.Release(by=None, workload=first))
    parkade.run(60)
    parkade.ended(f"{first}_0", code=3)
    parkade.do(commands.Cancel(by=None, workload=first, now=True, members=((1, 1), (6, 6))))
    parkade.run(60)
    parkade.do(commands.Retry(by=None, workload=first, members=((0, 1), (6, 6))))
    for _ in range(8):
        parkade.run(60)
        for name in tuple(parkade.world.members.of(first).names):
            if parkade.workload(name).attempt is not None:
                parkade.ended(name)
    parkade.run(60)
    return parkade


def bounds_that_change() -> Parkade:
    """`max_spend` and `max_duration` that are raised, lowered and taken away: of a workload that
    runs, of an on-demand window, of members of an array that wait and that run."""
    parkade = Parkade(fabrics={"a": 4}, buffer_nodes=0)
    sure = parkade.on_demand("lab")
    bid = parkade.bid("lab", 9, max_spend=30)
    array = parkade.bid("lab", 9, array="0-5%2", max_spend=50)
    parkade.run(600)
    for name, spend, lasts_us, members in (
        (sure, None, 2 * HOUR_US, None),
        (bid, 20 * MICROS, HOUR_US, None),
        (array, 40 * MICROS, 3 * HOUR_US, None),
        (array, None, HOUR_US, ((0, 0), (3, 4))),
    ):
        change = commands.ChangeBounds(
            by=None,
            workload=name,
            max_spend_micros=None if spend is None else commands.NewBound(value=spend),
            max_duration_us=commands.NewBound(value=lasts_us),
            members=members,
        )
        parkade.do(change)
    parkade.run(3600)
    return parkade


def what_ended_goes_on() -> Parkade:
    """A workload that failed after a checkpoint and is submitted again under its id."""
    parkade = Parkade(fabrics={"a": 1}, buffer_nodes=0)
    name = parkade.bid("lab", 9, max_spend=30)
    parkade.run(60)
    parkade.saved(name, 3)
    parkade.ended(name, code=2)
    again = commands.Resubmit(
        by=None,
        workload=name,
        limit_price_micros=11 * MICROS,
        max_spend_micros=commands.NewBound(value=60 * MICROS),
    )
    parkade.do(again)
    parkade.run(60)
    parkade.ended(name)
    return parkade


def a_queue_beside_ours() -> Parkade:
    """A fence that is asked for, stands, falls and goes; an owner's job in the engine's queue; a
    node that another job takes."""
    parkade = Parkade(fabrics={"a": 3}, buffer_nodes=0, engine="slurm")
    parkade.do(commands.SetFence(by=None, pool="pool", is_on=True))
    for stands in (True, False, True):
        parkade.do(commands.ReportFence(by=None, pool="pool", stands=stands))
    parkade.reserve("acme", 2)
    parkade.lend("acme", 5)
    parkade.bid("lab", 9, nodes=3)
    parkade.run(300)
    job = OwnerJob(job="17", reservation="acme", nodes=2, least=2)
    parkade.do(commands.ReportOwnerJobs(by=None, pool="pool", jobs=(job,)))
    parkade.run(300)
    parkade.do(commands.ReportOwnerJobs(by=None, pool="pool", jobs=()))
    taken = TakenNode(node="a1", job="job 5 of bob")
    parkade.do(commands.ReportTakenNodes(by=None, pool="pool", nodes=(taken,)))
    parkade.run(300)
    parkade.do(commands.ReportTakenNodes(by=None, pool="pool", nodes=()))
    parkade.run(300)
    return parkade


def a_job_that_the_engine_started() -> Parkade:
    """An owner's job runs on a free node and beside a guest, which leaves; then it is over."""
    parkade = Parkade(fabrics={"a": 3}, buffer_nodes=0, engine="slurm")
    parkade.do(commands.SetFence(by=None, pool="pool", is_on=True))
    parkade.do(commands.ReportFence(by=None, pool="pool", stands=True))
    parkade.reserve("acme", 2)
    parkade.lend("acme", 5)
    parkade.bid("lab", 9, nodes=2)
    parkade.run(300)
    free = next(node for node, held in parkade.world.held_on.items() if not held)
    busy = next(node for node, held in parkade.world.held_on.items() if held)
    job = OwnerJob(job="42", reservation="acme", nodes=2, least=2, runs_on=(free, busy))
    for _ in range(2):
        parkade.do(commands.ReportOwnerJobs(by=None, pool="pool", jobs=(job,)))
        parkade.run(300)
    parkade.do(commands.ReportOwnerJobs(by=None, pool="pool", jobs=()))
    parkade.run(300)
    return parkade


def work_of_a_user_who_is_not_let_in() -> Parkade:
    """The engine takes no job of a user, twice; then it does."""
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0, engine="slurm")
    name = parkade.bid("lab", 9)
    parkade.clear()
    for _ in range(2):
        attempt = parkade.attempt(name)
        seen = builders.observed(
            attempt.attempt,
            generation=attempt.generation,
            phase=EnginePhase.RELEASED,
            started_us=None,
            released_us=parkade.now_us,
            exits=(),
            launch_error="sbatch: Invalid account",
            is_unadmitted=True,
        )
        parkade.do(commands.ReportAttempts(by=None, pool="pool", attempts=(seen,)))
        parkade.run(120, obey=False)
    parkade.run(300)
    return parkade


def a_user_who_leaves() -> Parkade:
    """A user who is disabled, and enabled again; a token that only looks and expires."""
    parkade = Parkade()
    parkade.org("lab")
    parkade.do(builders.create_user("eve", "lab", role=Role.OWNER, unix_name=None))
    token = commands.AddToken(
        by=None, token="eve-1", user="eve", digest="d" * 64, is_read_only=True, lasts_us=HOUR_US
    )
    parkade.do(token)
    for is_disabled in (True, False):
        parkade.do(commands.SetUserDisabled(by=None, user="eve", is_disabled=is_disabled))
    return parkade


def a_user_of_another_role() -> Parkade:
    """A member becomes an owner, an operator, and a member again."""
    parkade = Parkade()
    parkade.org("lab")
    parkade.do(builders.create_user("eve", "lab", role=Role.MEMBER, unix_name=None))
    for role in (Role.OWNER, Role.OPERATOR, Role.MEMBER):
        parkade.do(commands.SetUserRole(by=None, user="eve", role=role))
    return parkade


def a_user_and_an_org_that_are_deleted() -> Parkade:
    """A user with a token and a workload that ended is deleted, and its org after it."""
    parkade = Parkade()
    parkade.org("lab")
    parkade.do(builders.create_user("eve", "lab", role=Role.OWNER, unix_name=None))
    parkade.do(commands.AddToken(by=None, token="eve-1", user="eve", digest="d" * 64))
    spec = parkade.spec(limit=9)
    parkade.do(commands.Submit(by="eve", org="lab", market=None, spec=spec, is_held=False))
    parkade.run(180)
    parkade.do(commands.SetOrgDisabled(by=None, org="lab", is_disabled=True))
    parkade.run(600)
    parkade.do(commands.DeleteUser(by=None, user="eve"))
    left = parkade.world.ledger.balance(org_account("lab"))
    parkade.do(
        commands.Adjust(by=None, org="lab", micros=left, is_refund=False, reason="it leaves")
    )
    parkade.do(commands.DeleteOrg(by=None, org="lab"))
    return parkade


def a_command_beside_a_rank() -> Parkade:
    """A command and a terminal are let in beside a rank that runs."""
    parkade = Parkade()
    name = parkade.bid("lab", 9)
    parkade.run(60)
    for session, program, has_terminal in (("1f", "nvidia-smi", False), ("2e", "bash", True)):
        parkade.do(
            commands.OpenExec(
                by=None,
                workload=name,
                session=session,
                rank=0,
                program=program,
                has_terminal=has_terminal,
            )
        )
    parkade.do(commands.Cancel(by=None, workload=name, now=True))
    parkade.stop_all()
    return parkade


def tokens_of_tokens() -> Parkade:
    """A token that ends with the one that it was made with, and one that ends earlier."""
    parkade = Parkade()
    parkade.org("lab")
    parkade.do(builders.create_user("eve", "lab", role=Role.OWNER, unix_name=None))
    for name, made_with, lasts_us in (
        ("first", None, HOUR_US),
        ("second", "first", None),
        ("third", "second", HOUR_US // 2),
    ):
        parkade.do(
            commands.AddToken(
                by="eve",
                token=name,
                user="eve",
                digest=name.ljust(64, "0"),
                made_with=made_with,
                lasts_us=lasts_us,
            )
        )
    return parkade


def an_org_that_leaves() -> Parkade:
    """Its running work, its claim and its array end with notice; later it is back."""
    parkade = Parkade()
    right = parkade.reserve("guests", 2)
    parkade.claim(right, 1)
    parkade.bid("guests", 9)
    parkade.bid("guests", 9, array="0-3%1")
    parkade.run(180)
    parkade.do(commands.SetOrgDisabled(by=None, org="guests", is_disabled=True))
    parkade.run(600)
    parkade.do(commands.SetOrgDisabled(by=None, org="guests", is_disabled=False))
    parkade.bid("guests", 9)
    parkade.run(180)
    return parkade


def caps_of_users_and_orgs() -> Parkade:
    """Caps on money, in all and by month, and on GPUs: set, told of, reached and lifted."""
    parkade = Parkade()
    parkade.org("lab")
    parkade.do(builders.create_user("eve", "lab", role=Role.OWNER))
    month = CapPeriod.MONTH
    by_month = commands.SetCap(by=None, user="eve", cap_micros=4 * MICROS, period=month)
    parkade.do(by_month)
    of_org = commands.SetOrgCap(by="eve", org="lab", cap_micros=9 * MICROS, most_gpus=4)
    parkade.do(of_org)
    for _ in range(3):
        spec = parkade.spec(limit=9)
        own = commands.Submit(by="eve", org="lab", market=None, spec=spec, is_held=False)
        parkade.do(own)
    parkade.bid("lab", 9)
    parkade.run(3600)
    parkade.do(commands.SetOrgCap(by=None, org="lab", cap_micros=None))
    few = commands.SetOrgBounds(
        by=None, org="lab", open_workloads=9, submits_per_minute=None, starts_per_minute=1
    )
    parkade.do(few)
    parkade.tick(17 * 24 * 3600)
    parkade.run(600)
    return parkade


def reservations_that_change() -> Parkade:
    """One is planned longer, split, handed over and given up in part, while it lends."""
    parkade = Parkade(
        fabrics={"a": 4}, buffer_nodes=0, payout_cap=Fraction(numerator=1, denominator=1)
    )
    name = parkade.reserve("acme", 3)
    parkade.org("lab")
    parkade.lend(name, 5, keep=1)
    parkade.bid("guest", 20)
    parkade.run(900)
    parkade.do(commands.SplitReservation(by=None, reservation=name, nodes=1, org="lab"))
    parkade.run(900)
    parkade.do(commands.ShrinkReservation(by=None, reservation=name, nodes=1))
    fixed = parkade.reserve("lab", 1, hours=2, in_hours=4)
    parkade.do(
        commands.ExtendReservation(by=None, reservation=fixed, end_us=parkade.now_us + 9 * HOUR_US)
    )
    parkade.run(2 * 3600)
    return parkade


def an_org_that_is_described() -> Parkade:
    """An owner gives its org a title and a contact, and takes the title away."""
    parkade = Parkade(fabrics={"a": 1})
    parkade.org("lab")
    parkade.do(builders.create_user("eve", "lab", role=Role.OWNER))
    for title, contact in (("The lab", "eve@example.com"), ("", None)):
        parkade.do(commands.DescribeOrg(by="eve", org="lab", title=title, contact=contact))
    return parkade


def nodes_in_maintenance() -> Parkade:
    """One window is moved and carried out under work, one is cancelled, one is still ahead."""
    parkade = Parkade(fabrics={"a": 3}, buffer_nodes=0)
    parkade.bid("lab", 9, nodes=2)
    parkade.run(60)

    def schedule(node: str, start: int, end: int) -> None:
        command = commands.ScheduleMaintenance(
            by=None,
            nodes=(node,),
            start_us=parkade.now_us + start * HOUR_US,
            end_us=parkade.now_us + end * HOUR_US,
            reason="firmware",
            is_forced=False,
        )
        parkade.do(command)

    schedule("a1", 2, 4)
    parkade.do(
        commands.ChangeMaintenance(
            by=None,
            maintenance="m1",
            start_us=parkade.now_us + HOUR_US,
            end_us=None,
            is_forced=False,
        )
    )
    schedule("a2", 1, 2)
    parkade.do(commands.CancelMaintenance(by=None, maintenance="m2"))
    parkade.run(5 * 3600)
    schedule("a3", 2, 3)
    return parkade


def work_with_a_deadline() -> Parkade:
    """One waits until it becomes on-demand, one runs and becomes it in its seats."""
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0, public_floor_micros=MICROS)
    parkade.org("lab")

    def submit(hours: int, due: int) -> None:
        deadline = DeadlineTerms(by_us=parkade.now_us + due * HOUR_US, duration_us=hours * HOUR_US)
        spec = replace(parkade.spec(limit=2), deadline=deadline)
        command = commands.Submit(by=None, org="lab", market=None, spec=spec, is_held=False)
        parkade.do(command)

    submit(2, 3)
    parkade.run(600)
    submit(1, 2)
    parkade.run(30)
    parkade.bid("rich", 50)
    parkade.run(2 * 3600)
    return parkade


def keep(parkade: Parkade) -> bytes:
    """The file's bytes: one event a line, so that differences can be read."""
    records = parkade.world.records
    head = {
        "version": EVENT_VERSION,
        "balances": records.balances,
        "phases": {name: it.phase.value for name, it in records.workloads.items()},
    }
    lines = [encode_event(event).decode() for event in parkade.journal]
    opening = json.dumps(head, indent=1)[:-2]
    joined = ",\n".join(lines)
    return f'{opening},\n "events": [\n{joined}\n]}}\n'.encode()


def bids_in_two_markets() -> Parkade:
    """A bid that stands in its second market, and one that is moved to it; a limit that changes."""
    parkade = TwoMarkets(here={"a": 1}, there={"b": 2}, buffer_nodes=0, public_floor_micros=MICROS)
    moved = parkade.bid_in("lab", {"pool": 5, "other": 6})
    parkade.run(60)
    parkade.in_market("first", "pool", 9)
    parkade.bid_in("late", {"pool": 4, "other": 3})
    parkade.run(120)
    parkade.do(
        commands.ChangeBid(
            by=None, workload=moved, limit_price_micros=7 * MICROS, instance_type="small"
        )
    )
    parkade.run(60)
    return parkade


@pytest.mark.parametrize("path", sorted(KEPT.glob("journal-v*.json")), ids=lambda it: it.stem)
def test_a_kept_journal_replays_to_the_balances_it_had(path: Path) -> None:
    kept = msgspec.json.decode(path.read_bytes(), type=Kept)
    world = World(Records())
    for raw in kept.events:
        evolve(world, decode_event(bytes(raw), kept.version))
        check(world)
    assert world.records.balances == kept.balances
    assert {name: it.phase for name, it in world.records.workloads.items()} == kept.phases


def test_a_kept_journal_has_guests_that_lapsed_both_ways() -> None:
    kept = msgspec.json.decode((KEPT / "journal-v2-leases.json").read_bytes(), type=Kept)
    found = [decode_event(bytes(raw), kept.version) for raw in kept.events]
    causes = [event.cause for event in found if isinstance(event, events.Ended)]
    assert Cause.LAPSED in causes
    assert any("lease had lapsed" in it.summary for it in found if isinstance(it, events.Ended))


def test_a_kept_journal_has_a_gang_on_one_node_and_seats_that_were_given_up_and_billed() -> None:
    kept = msgspec.json.decode((KEPT / "journal-v2-crowded-node.json").read_bytes(), type=Kept)
    found = [decode_event(bytes(raw), kept.version) for raw in kept.events]
    gangs = [it.attempt.seats for it in found if isinstance(it, events.Launched)]
    assert any(len({seat.node for seat in seats}) < len(seats) for seats in gangs)
    ends = [it for it in found if isinstance(it, events.Ended) and it.is_unstarted]
    assert len(ends) == 2
    assert any(it.attempt == ends[1].attempt for it in found if isinstance(it, events.UsePosted))


def test_a_kept_journal_has_a_claim_that_kept_its_well_nodes_and_was_made_whole() -> None:
    kept = msgspec.json.decode((KEPT / "journal-v2-claims.json").read_bytes(), type=Kept)
    found = [decode_event(bytes(raw), kept.version) for raw in kept.events]
    lines = [line for it in found if isinstance(it, events.Cleared) for line in it.claims]
    assert {(len(it.seats), len(it.replacements)) for it in lines} == {(1, 1), (2, 1)}
    assert [it.nodes for it in found if isinstance(it, events.ClaimSeated)][-1] is not None


def test_a_kept_journal_has_a_start_that_a_clock_set_ahead_did_not_make_late() -> None:
    kept = msgspec.json.decode((KEPT / "journal-v2-starts.json").read_bytes(), type=Kept)
    found = [decode_event(bytes(raw), kept.version) for raw in kept.events]
    (leap,) = [it for it in found if isinstance(it, events.ClockAdvanced)]
    assert leap.by_us == leap.unheard_us > 0
    stopped = [it.workload for it in found if isinstance(it, events.StopOrdered)]
    assert (stopped, kept.phases["w1"]) == (["w2"], "succeeded")


def test_a_kept_journal_has_labels_exit_codes_and_reasons() -> None:
    kept = msgspec.json.decode((KEPT / "journal-v2-scripts.json").read_bytes(), type=Kept)
    found = [decode_event(bytes(raw), kept.version) for raw in kept.events]
    assert [it.exit_code for it in found if isinstance(it, events.Ended)] == [0, 7, 137]
    labels = {it.workload.spec.labels for it in found if isinstance(it, events.Submitted)}
    assert labels == {(("run", "big"),)}
    reasons = [it.reason for it in found if isinstance(it, events.MoneyMoved)]
    assert reasons[-2:] == ["by hand", "by hand"] and None in reasons


def test_a_kept_journal_has_an_array_whose_members_were_retried_under_new_attempts() -> None:
    kept = msgspec.json.decode((KEPT / "journal-v2-arrays.json").read_bytes(), type=Kept)
    found = [decode_event(bytes(raw), kept.version) for raw in kept.events]
    launched = [it.attempt.attempt for it in found if isinstance(it, events.Launched)]
    assert {"w1_0.1", "w1_0.2", "w1_1.2"} <= set(launched)
    assert len(set(launched)) == len(launched)
    assert (kept.phases["w1"], kept.phases["w3"]) == ("succeeded", "cancelled")
    assert [it.members for it in found if isinstance(it, events.BidChanged)] == [((4, 4),)]


def test_a_kept_journal_has_bounds_that_changed_for_one_for_an_array_and_for_members() -> None:
    kept = msgspec.json.decode((KEPT / "journal-v2-bounds.json").read_bytes(), type=Kept)
    found = [decode_event(bytes(raw), kept.version) for raw in kept.events]
    changed = [it for it in found if isinstance(it, events.BoundsChanged)]
    assert {it.workload for it in changed} >= {"w1", "w2", "w3", "w3_0"}
    assert [it.members for it in changed if it.members] == [((3, 4),)]


def test_a_kept_journal_has_tokens_that_were_made_with_tokens() -> None:
    kept = msgspec.json.decode((KEPT / "journal-v2-tokens.json").read_bytes(), type=Kept)
    found = [decode_event(bytes(raw), kept.version) for raw in kept.events]
    added = [it.token for it in found if isinstance(it, events.TokenAdded)]
    assert [it.made_with for it in added] == [None, "first", "second"]
    first, second, third = (it.expires_us for it in added)
    assert first == second and third is not None and first is not None and third < first


def test_a_kept_journal_has_a_workload_that_ended_twice() -> None:
    kept = msgspec.json.decode((KEPT / "journal-v2-again.json").read_bytes(), type=Kept)
    found = [decode_event(bytes(raw), kept.version) for raw in kept.events]
    assert [it.phase.value for it in found if isinstance(it, events.Ended)] == [
        "failed",
        "succeeded",
    ]
    launched = [it.attempt.attempt for it in found if isinstance(it, events.Launched)]
    assert launched == ["w1.1", "w1.2"]


def a_gang_pushed_out() -> Parkade:
    """Two bids of one node each push out a gang of three at a price of 0, and end soon."""
    parkade = Parkade(fabrics={"a": 3}, buffer_nodes=0, public_floor_micros=0)
    parkade.bid("guest", 5, nodes=3)
    parkade.run(60)
    two = [parkade.bid("lab", 20) for _ in range(2)]
    parkade.clear()
    parkade.stop_all()
    parkade.tick()
    parkade.start_all()
    parkade.pass_time(60)
    parkade.ended(two[0])
    parkade.do(commands.Cancel(by=None, workload=two[1], now=True))
    parkade.stop_all()
    parkade.run(60)
    return parkade


def test_a_kept_journal_has_debts_for_what_those_that_left_had_bid() -> None:
    kept = msgspec.json.decode((KEPT / "journal-v2-outbid.json").read_bytes(), type=Kept)
    found = [decode_event(bytes(raw), kept.version) for raw in kept.events]
    attempts = [it.attempt for it in found if isinstance(it, events.Launched)]
    assert [it.debt.outbid_micros for it in attempts if it.debt] == [(9_523_808,)] * 2
    assert kept.balances["org/lab"] == 1_000_000 * MICROS - 2 * 79_365


def a_limit_below_the_floor() -> Parkade:
    """A guest lowers its limit below the floor of its lender, and leaves for that."""
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0)
    parkade.lend(parkade.reserve("acme", 2), 5)
    guest = parkade.bid("lab", 9)
    parkade.run(60)
    parkade.do(commands.ChangeBid(by=None, workload=guest, limit_price_micros=MICROS, members=None))
    parkade.clear()
    parkade.stop_all()
    parkade.run(60)
    return parkade


def test_a_kept_journal_has_a_guest_whose_limit_was_below_the_floor() -> None:
    kept = msgspec.json.decode((KEPT / "journal-v2-below-floor.json").read_bytes(), type=Kept)
    found = [decode_event(bytes(raw), kept.version) for raw in kept.events]
    causes = [it.cause for it in found if isinstance(it, events.Ended)]
    assert causes == [Cause.BELOW_FLOOR] and kept.phases == {"w1": "queued"}


def a_shortest_run() -> Parkade:
    """A gang that no higher bid pushes out before it ran for ten minutes."""
    given = {"public_floor_micros": MICROS, "min_runtime_us": 600 * SECOND_US}
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0, **given)
    rival = parkade.bid("rich", 3, nodes=2)
    parkade.bid("lab", 5, nodes=2)
    parkade.clear()
    parkade.start_all()
    parkade.do(commands.ChangeBid(by=None, workload=rival, limit_price_micros=50 * MICROS))
    parkade.run(540)
    parkade.run(180)
    return parkade


def test_a_kept_journal_has_seats_that_no_bid_took_for_a_while() -> None:
    kept = msgspec.json.decode((KEPT / "journal-v2-shortest-run.json").read_bytes(), type=Kept)
    found = [decode_event(bytes(raw), kept.version) for raw in kept.events]
    launched = next(it.attempt for it in found if isinstance(it, events.Launched))
    assert launched.admission is not None
    agreed = launched.admission
    assert (agreed.min_runtime_us, agreed.price_micros) == (600 * SECOND_US, 3 * MICROS)
    waits = {it.why for each in found if isinstance(each, events.Cleared) for it in each.waiting}
    assert "protected" in waits


def test_a_kept_journal_has_a_claim_where_its_job_was_started() -> None:
    kept = msgspec.json.decode((KEPT / "journal-v2-started.json").read_bytes(), type=Kept)
    known = [decode_event(bytes(raw), kept.version) for raw in kept.events]
    (claim,) = [it.claim for it in known if isinstance(it, events.Claimed)]
    seated = [it for it in known if isinstance(it, events.ClaimSeated)]
    assert len(claim.runs_on) == 2 and all(it.runs_there for it in seated)
    assert [it.nodes for it in seated] == [(node,) for node in claim.runs_on]


def test_a_kept_journal_has_work_of_a_user_who_was_let_in_late() -> None:
    kept = msgspec.json.decode((KEPT / "journal-v2-unadmitted.json").read_bytes(), type=Kept)
    known = [decode_event(bytes(raw), kept.version) for raw in kept.events]
    ended = [it for it in known if isinstance(it, events.Ended)]
    assert [(it.why, it.is_unadmitted, it.failures) for it in ended] == 2 * [
        ("not_admitted", True, 0)
    ]
    assert [it.attempt for it in known if isinstance(it, events.Started)] == ["w1.3"]


def test_a_kept_journal_has_caps_that_were_told_of_and_reached() -> None:
    kept = msgspec.json.decode((KEPT / "journal-v2-caps.json").read_bytes(), type=Kept)
    found = [decode_event(bytes(raw), kept.version) for raw in kept.events]
    noted = [it.user for it in found if isinstance(it, events.CapNoted)]
    assert {"eve", None} == set(noted)
    whys = {it.why for each in found if isinstance(each, events.Cleared) for it in each.left}
    assert {"user_cap", "org_cap"} & whys
    waits = {it.why for each in found if isinstance(each, events.Cleared) for it in each.waiting}
    assert "org_gpus" in waits


def test_the_present_version_has_kept_journals_with_every_event() -> None:
    kinds = {
        json.loads(bytes(raw))["type"]
        for path in KEPT.glob(f"journal-v{EVENT_VERSION}*.json")
        for raw in msgspec.json.decode(path.read_bytes(), type=Kept).events
    }
    assert {kind.__name__ for kind in get_args(events.AnyEvent)} - kinds == set()


def a_list_of_capacity() -> Parkade:
    """One workload uses the reservation of its list, another bids for spot."""
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0, public_floor_micros=MICROS)
    parkade.reserve("acme", 1)
    right = Capacity(kind=CapacityKind.RESERVATION, reservation="acme")
    entries = (right, Capacity(kind=CapacityKind.SPOT))
    spec = replace(parkade.spec(), capacity=right, entries=entries, spot_limit_micros=2 * MICROS)
    for _ in range(2):
        parkade.do(commands.Submit(by=None, org="acme", market=None, spec=spec, is_held=False))
    parkade.clear()
    parkade.start_all()
    return parkade


def a_list_with_on_demand() -> Parkade:
    """One buys its window beside a bid that runs, and goes on by right of the reservation."""
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0, public_floor_micros=MICROS)
    parkade.reserve("acme", 1)
    own = parkade.on_reservation("acme", "acme")
    right = Capacity(kind=CapacityKind.RESERVATION, reservation="acme")
    entries = (right, *(Capacity(kind=it) for it in (CapacityKind.SPOT, CapacityKind.ON_DEMAND)))
    asked = parkade.spec(max_duration_us=HOUR_US)
    spec = replace(asked, capacity=right, entries=entries, spot_limit_micros=2 * MICROS)
    parkade.bid("rival", 5)
    parkade.run(60)
    parkade.do(commands.Submit(by=None, org="acme", market=None, spec=spec, is_held=False))
    parkade.run(120)
    parkade.do(commands.Cancel(by=None, workload=own, now=True))
    parkade.run(60)
    return parkade


def test_a_kept_list_buys_on_demand_and_gives_it_back() -> None:
    kept = msgspec.json.decode((KEPT / "journal-v2-lists-on-demand.json").read_bytes(), type=Kept)
    found = [decode_event(bytes(raw), kept.version) for raw in kept.events]
    taken = [it for it in found if isinstance(it, events.EntryTaken)]
    assert [str(it.capacity) for it in taken] == ["on-demand", "reservation/acme"]
    assert taken[0].fabric == "a" and taken[0].must_end_us is not None
    assert taken[1].fabric is None and taken[1].must_end_us is None


def test_kept_lists_ask_for_the_entry_that_they_took() -> None:
    kept = msgspec.json.decode((KEPT / "journal-v2-lists.json").read_bytes(), type=Kept)
    found = [decode_event(bytes(raw), kept.version) for raw in kept.events]
    taken = [str(it.capacity) for it in found if isinstance(it, events.EntryTaken)]
    assert taken == ["spot"]


def test_kept_linked_markets_are_cleared_in_one_event() -> None:
    kept = msgspec.json.decode((KEPT / "journal-v2-linked.json").read_bytes(), type=Kept)
    found = [decode_event(bytes(raw), kept.version) for raw in kept.events]
    cleared = [it for it in found if isinstance(it, events.Cleared)]
    assert any(it.linked for it in cleared)
    won = [line for it in cleared for line in it.won]
    assert any(isinstance(it.moved, OtherMarket) for it in won)
    assert any(it.promise.market is not None and it.answers for it in won)
    assert any(isinstance(it, events.BidChanged) and it.market is not None for it in found)


def a_live_attempt() -> Parkade:
    """It shrinks for another bid, grows back by making it leave, and loses a node."""
    parkade = Parkade(fabrics={"a": 4}, buffer_nodes=0, public_floor_micros=MICROS)
    name = parkade.bid("lab", 5, nodes=1, most_nodes=4, resize=Resize.LIVE)
    parkade.run(60)
    parkade.bid("acme", 9, nodes=2)
    parkade.run(60)
    parkade.do(commands.ChangeBid(by=None, workload=name, limit_price_micros=20 * MICROS))
    parkade.run(90)
    parkade.fail("a2")
    parkade.run(60)
    return parkade


def test_kept_ranks_came_and_went_for_each_reason() -> None:
    kept = msgspec.json.decode((KEPT / "journal-v2-live.json").read_bytes(), type=Kept)
    found = [decode_event(bytes(raw), kept.version) for raw in kept.events]
    told = {
        each.leaving.stop.cause
        for it in found
        if isinstance(it, events.Cleared)
        for line in it.resized
        for each in line.ranks
        if each.leaving is not None
    }
    changes = [it for it in found if isinstance(it, events.RanksChanged)]
    lost = {
        each.leaving.stop.cause for it in changes for each in it.ranks if each.leaving is not None
    }
    assert (told, Cause.HEALED in lost) == ({Cause.OUTBID}, True)
    assert any(it.rate is not None for it in changes), "ranks joined"
    assert any(each.owed is not None for it in changes for each in it.ranks), "others left for them"


def ranks_that_begin_late() -> Parkade:
    """One joins and begins late, another never."""
    parkade = Parkade(
        fabrics={"a": 3},
        buffer_nodes=0,
        public_floor_micros=MICROS,
        start_limit_us=60 * SECOND_US,
    )
    parkade.do(commands.CordonNode(by=None, node="a2", reason="late"))
    parkade.do(commands.CordonNode(by=None, node="a3", reason="late"))
    name = parkade.bid("lab", 5, nodes=1, most_nodes=3, resize=Resize.LIVE)
    parkade.run(30)
    for node in ("a2", "a3"):
        parkade.do(commands.UncordonNode(by=None, node=node))
        parkade.clear()
        parkade.tick(20)
        parkade.begun(name, 1)
    parkade.tick(60)
    parkade.ranks_left(name, begun=())
    parkade.run(120)
    return parkade


def test_a_kept_rank_began_late_and_another_never() -> None:
    kept = msgspec.json.decode((KEPT / "journal-v2-live-starts.json").read_bytes(), type=Kept)
    found = [decode_event(bytes(raw), kept.version) for raw in kept.events]
    ranks = [it for event in found if isinstance(event, events.RanksChanged) for it in event.ranks]
    assert any(it.start is not None and not it.has_begun for it in ranks)
    assert any(it.start is not None and it.has_begun for it in ranks)
    assert any(it.leaving and it.leaving.stop.cause is Cause.NOT_STARTED for it in ranks)


if __name__ == "__main__":
    stories = {
        f"journal-v{EVENT_VERSION}": a_year,
        f"journal-v{EVENT_VERSION}-healing": a_sick_fleet,
        f"journal-v{EVENT_VERSION}-debts": a_day_of_debts,
        f"journal-v{EVENT_VERSION}-leases": a_silence,
        f"journal-v{EVENT_VERSION}-turnarounds": a_change_of_tenants,
        f"journal-v{EVENT_VERSION}-crowded-node": a_crowded_node,
        f"journal-v{EVENT_VERSION}-buffers": a_sized_buffer,
        f"journal-v{EVENT_VERSION}-parents": a_suspected_rack,
        f"journal-v{EVENT_VERSION}-clock": a_clock_set_ahead,
        f"journal-v{EVENT_VERSION}-starts": late_starts,
        f"journal-v{EVENT_VERSION}-claims": a_short_claim,
        f"journal-v{EVENT_VERSION}-scripts": an_evening_of_scripts,
        f"journal-v{EVENT_VERSION}-chains": a_chain_of_work,
        f"journal-v{EVENT_VERSION}-queue": a_queue_beside_ours,
        f"journal-v{EVENT_VERSION}-started": a_job_that_the_engine_started,
        f"journal-v{EVENT_VERSION}-unadmitted": work_of_a_user_who_is_not_let_in,
        f"journal-v{EVENT_VERSION}-arrays": an_array,
        f"journal-v{EVENT_VERSION}-people": a_user_who_leaves,
        f"journal-v{EVENT_VERSION}-roles": a_user_of_another_role,
        f"journal-v{EVENT_VERSION}-deleted": a_user_and_an_org_that_are_deleted,
        f"journal-v{EVENT_VERSION}-exec": a_command_beside_a_rank,
        f"journal-v{EVENT_VERSION}-tokens": tokens_of_tokens,
        f"journal-v{EVENT_VERSION}-orgs": an_org_that_leaves,
        f"journal-v{EVENT_VERSION}-bounds": bounds_that_change,
        f"journal-v{EVENT_VERSION}-outbid": a_gang_pushed_out,
        f"journal-v{EVENT_VERSION}-below-floor": a_limit_below_the_floor,
        f"journal-v{EVENT_VERSION}-again": what_ended_goes_on,
        f"journal-v{EVENT_VERSION}-caps": caps_of_users_and_orgs,
        f"journal-v{EVENT_VERSION}-divided": reservations_that_change,
        f"journal-v{EVENT_VERSION}-described": an_org_that_is_described,
        f"journal-v{EVENT_VERSION}-maintenance": nodes_in_maintenance,
        f"journal-v{EVENT_VERSION}-deadlines": work_with_a_deadline,
        f"journal-v{EVENT_VERSION}-shortest-run": a_shortest_run,
        f"journal-v{EVENT_VERSION}-lists": a_list_of_capacity,
        f"journal-v{EVENT_VERSION}-lists-on-demand": a_list_with_on_demand,
        f"journal-v{EVENT_VERSION}-linked": bids_in_two_markets,
        f"journal-v{EVENT_VERSION}-live": a_live_attempt,
        f"journal-v{EVENT_VERSION}-live-starts": ranks_that_begin_late,
    }
    KEPT.mkdir(exist_ok=True)
    for name, story in stories.items():
        target = KEPT / f"{name}.json"
        if not target.exists():
            target.write_bytes(keep(story()))
