"""What users of orgs do: submit, bid anew, hold, cancel; owners reserve, lend, claim; some try what
is not theirs."""

import random

from msgspec.structs import replace

from parkade.core.state import commands
from parkade.core.state.world import World
from parkade.core.units.indexes import Spans
from parkade.core.units.money import MICROS
from parkade.core.units.time import HOUR_US, MINUTE_US, SECOND_US
from parkade.core.workloads.array import ArrayTerms
from parkade.core.workloads.choice import Choice
from parkade.core.workloads.deadline import DeadlineTerms
from parkade.core.workloads.dependency import Condition, Dependency
from parkade.core.workloads.spec import Capacity, CapacityKind, Interconnect, Moves, Resize, Spec
from parkade.sim.acts.lists import after_a_reservation, before_on_demand
from parkade.sim.acts.stage import Stage
from parkade.sim.fleet import OPERATOR, member_of, owner_of
from parkade.sim.program import Program, program_of


def bid(stage: Stage, chance: random.Random) -> None:
    """A spot workload: mostly small, at times a gang, at times below a node."""
    org, _ = chance.choice(stage.fleet.orgs)
    capacity = Capacity(kind=CapacityKind.SPOT)
    limit = chance.choice((0.5, 1, 2, 3, 3, 4, 5, 6, 8, 12, 40))
    spec = _spec(stage, chance, capacity, limit_micros=round(limit * MICROS))
    spec = replace(spec, after=_after(stage, spec, org), array=_array(spec))
    spec = _with_deadline(stage, spec)
    by, market = chance.choice((owner_of(org), member_of(org))), _market(stage, chance)
    spec = before_on_demand(stage.world, _in_markets(stage, spec), org, market)
    stage.ask(
        commands.Submit(
            by=by,
            org=org,
            market=None if spec.choices else market,
            spec=spec,
            is_held=chance.random() < 0.05,
        )
    )


def on_demand(stage: Stage, chance: random.Random) -> None:
    """A window at the posted price."""
    org, _ = chance.choice(stage.fleet.orgs)
    span_us = chance.choice((5 * MINUTE_US, 20 * MINUTE_US, HOUR_US, 3 * HOUR_US))
    capacity = Capacity(kind=CapacityKind.ON_DEMAND)
    spec = _spec(stage, chance, capacity, max_duration_us=span_us)
    market = _market(stage, chance)
    stage.ask(commands.Submit(by=owner_of(org), org=org, market=market, spec=spec, is_held=False))


def own_work(stage: Stage, chance: random.Random) -> None:
    """A workload on a reservation of its org."""
    world = stage.world
    if world is None or not world.records.reservations:
        return
    reservation = chance.choice(list(world.records.reservations.values()))
    capacity = Capacity(kind=CapacityKind.RESERVATION, reservation=reservation.reservation)
    spec = _spec(stage, chance, capacity, priority=chance.choice((0, 0, 5)))
    spec = replace(spec, after=_after(stage, spec, reservation.org), array=_array(spec))
    spec = after_a_reservation(world, spec, reservation)
    stage.ask(
        commands.Submit(
            by=owner_of(reservation.org),
            org=reservation.org,
            market=reservation.market,
            spec=spec,
            is_held=False,
        )
    )


def rebid(stage: Stage, chance: random.Random) -> None:
    """Another limit, higher or lower, or another bound; or what ended goes on."""
    other = chance.random()
    if other < 0.35:
        (rebound if other < 0.25 else resubmit)(stage, chance)
        return
    world, name = stage.world, _live(stage.world, chance)
    if name is not None and world is not None:
        limit = round(chance.choice((0.5, 2, 3, 5, 8, 20)) * MICROS)
        stage.ask(
            commands.ChangeBid(
                by=_user_of(stage, name),
                workload=name,
                limit_price_micros=limit,
                members=_some(world, name, chance),
                instance_type=_some_type(world, name),
            )
        )


def _some_type(world: World, name: str) -> str | None:
    """The last of a list, where it bids in several markets."""
    choices = world.records.workloads[name].spec.choices
    return choices[-1].instance_type if choices else None


def rebound(stage: Stage, chance: random.Random) -> None:
    """Another `max_spend` or `max_duration`, more, less or none, of one or some."""
    world, name = stage.world, _live(stage.world, chance)
    if name is None or world is None:
        return
    spends, lasts = (None, MICROS, 5 * MICROS, 90 * MICROS), (None, MINUTE_US, HOUR_US, 3 * HOUR_US)
    is_spend = chance.random() < 0.5
    members = None if is_spend and chance.random() < 0.8 else _some(world, name, chance)
    spend = commands.NewBound(value=chance.choice(spends))
    span = commands.NewBound(value=chance.choice(lasts))
    stage.ask(
        commands.ChangeBounds(
            by=_user_of(stage, name),
            workload=name,
            max_spend_micros=spend if is_spend else None,
            max_duration_us=span if not is_spend or chance.random() < 0.2 else None,
            members=members,
        )
    )


def resubmit(stage: Stage, chance: random.Random) -> None:
    """What ended goes on from its checkpoints, now and then with other bounds."""
    world = stage.world
    if world is None:
        return
    ended = [it.workload for it in world.records.workloads.values() if it.phase.is_ended]
    if ended:
        name = chance.choice(ended)
        spend = commands.NewBound(value=chance.choice((None, 90 * MICROS)))
        stage.ask(
            commands.Resubmit(
                by=_user_of(stage, name),
                workload=name,
                limit_price_micros=chance.choice((None, 4 * MICROS)),
                max_spend_micros=spend if chance.random() < 0.7 else None,
            )
        )


def cancel(stage: Stage, chance: random.Random) -> None:
    """It is not wanted any more."""
    world, name = stage.world, _live(stage.world, chance)
    if name is None or world is None:
        return
    if world.records.workloads[name].array is not None and chance.random() < 0.4:
        members = _some(world, name, chance)
        stage.ask(commands.Retry(by=_user_of(stage, name), workload=name, members=members))
        return
    now = chance.random() < 0.3
    members = _some(world, name, chance)
    stage.ask(commands.Cancel(by=_user_of(stage, name), workload=name, now=now, members=members))


def hold(stage: Stage, chance: random.Random) -> None:
    """Kept from starting, or let go again."""
    name = _live(stage.world, chance)
    if name is None:
        return
    by = _user_of(stage, name)
    if chance.random() < 0.5:
        stage.ask(commands.Hold(by=by, workload=name))
    else:
        stage.ask(commands.Release(by=by, workload=name))


def reserve(stage: Stage, chance: random.Random) -> None:
    """A right from now on or later, with and without an end."""
    org, _ = chance.choice(stage.fleet.orgs)
    ahead_us = chance.choice((0, 0, 10 * MINUTE_US, 2 * HOUR_US))
    start_us = None if ahead_us == 0 else stage.present_us() + ahead_us
    span_us = chance.choice((None, 30 * MINUTE_US, 2 * HOUR_US, 8 * HOUR_US))
    end_us = None if span_us is None else stage.present_us() + ahead_us + span_us
    stage.ask(
        commands.Reserve(
            by=owner_of(org),
            org=org,
            market=_market(stage, chance),
            name=None,
            nodes=chance.choice((1, 1, 2, 3, max(1, len(stage.fleet.nodes) // 6))),
            start_us=start_us,
            end_us=end_us,
        )
    )


def end_reservation(stage: Stage, chance: random.Random) -> None:
    """An open end is closed, or a window lasts longer."""
    reservation = _reservation(stage.world, chance)
    if reservation is not None:
        by = _owner(stage, reservation)
        stage.ask(commands.EndReservation(by=by, reservation=reservation))
        end_us = stage.present_us() + chance.choice((HOUR_US, 4 * HOUR_US, 30 * HOUR_US))
        extend = commands.ExtendReservation(by=by, reservation=reservation, end_us=end_us)
        stage.ask(extend)
        divide(stage, chance, reservation)


def divide(stage: Stage, chance: random.Random, reservation: str) -> None:
    """A part is split off, given up, or handed to another org; owners try that too."""
    nodes = chance.choice((1, 1, 2, 3))
    by = chance.choice((OPERATOR, _owner(stage, reservation)))
    if chance.random() < 0.3:
        shrink = commands.ShrinkReservation(by=by, reservation=reservation, nodes=nodes)
        stage.ask(shrink)
        return
    to, _ = chance.choice(stage.fleet.orgs)
    org = chance.choice((None, to))
    split = commands.SplitReservation(by=by, reservation=reservation, nodes=nodes, org=org)
    stage.ask(split)


def lend(stage: Stage, chance: random.Random) -> None:
    """Another floor, other nodes kept, or lending no more."""
    reservation = _reservation(stage.world, chance)
    if reservation is None:
        return
    floor = chance.choice((None, 1, 2, 2, 3, 5))
    stage.ask(
        commands.Lend(
            by=_owner(stage, reservation),
            reservation=reservation,
            floor_micros=None if floor is None else floor * MICROS,
            keep=None if floor is None else chance.choice((0, 0, 1)),
        )
    )


def claim(stage: Stage, chance: random.Random) -> None:
    """The owner takes nodes for itself."""
    reservation = _reservation(stage.world, chance)
    if reservation is not None:
        nodes = chance.choice((1, 1, 2, 3))
        by = _owner(stage, reservation)
        stage.ask(commands.MakeClaim(by=by, reservation=reservation, nodes=nodes))


def unclaim(stage: Stage, chance: random.Random) -> None:
    """The owner's own work is done."""
    world = stage.world
    if world is not None and world.records.claims:
        one = chance.choice(list(world.records.claims.values()))
        stage.ask(commands.Unclaim(by=owner_of(one.org), claim=one.claim))


def hostile(stage: Stage, chance: random.Random) -> None:
    """A user asks for what is not its own, or for nonsense; a refusal is the right answer."""
    world = stage.world
    if world is None:
        return
    org, _ = chance.choice(stage.fleet.orgs)
    by = chance.choice((owner_of(org), member_of(org)))
    name = _live(world, chance) or "w999"
    reservation = _reservation(world, chance) or "r999"
    node = chance.choice(stage.fleet.nodes)
    asked: tuple[commands.AnyCommand, ...] = (
        commands.Cancel(by=by, workload=name, now=True),
        commands.ChangeBid(by=by, workload=name, limit_price_micros=1),
        commands.ChangeBid(by=by, workload=name, limit_price_micros=10**15),
        commands.Hold(by=by, workload=name),
        commands.ChangeBounds(
            by=by, workload=name, max_spend_micros=commands.NewBound(value=chance.choice((0, 1)))
        ),
        commands.MakeClaim(by=by, reservation=reservation, nodes=10**6),
        commands.MakeClaim(by=by, reservation=reservation, nodes=0),
        commands.Lend(by=by, reservation=reservation, floor_micros=0, keep=10**5),
        commands.EndReservation(by=by, reservation=reservation),
        commands.CordonNode(by=by, node=node, reason="mine"),
        commands.FailNode(by=by, node=node, reason="mine"),
        commands.Deposit(by=by, org=org, micros=10**12),
        commands.ConfirmClock(by=by),
        commands.OpenEpoch(by=by, installation="x" * 32, lineage="y" * 32),
        commands.ReportAttempts(by=by, pool=stage.fleet.pools[0].pool, attempts=()),
        commands.RunClearing(by=by, market=stage.fleet.pools[0].market),
    )
    stage.ask(chance.choice(asked))


def sweep(stage: Stage, chance: random.Random) -> None:
    """A cheap sweep: a high bid for much, cancelled or lowered as soon as others were told."""
    org, _ = chance.choice(stage.fleet.orgs)
    by = owner_of(org)
    spec = _spec(
        stage, chance, Capacity(kind=CapacityKind.SPOT), limit_micros=60 * MICROS, is_large=True
    )
    market = _market(stage, chance)
    stage.ask(
        commands.Submit(by=by, org=org, market=market, spec=spec, is_held=False),
        then=lambda name: (
            commands.Cancel(by=by, workload=name, now=False)
            if chance.random() < 0.5
            else commands.ChangeBid(by=by, workload=name, limit_price_micros=1)
        ),
        after_s=chance.choice((1, 20, 60)),
    )


def _spec(
    stage: Stage,
    chance: random.Random,
    capacity: Capacity,
    *,
    limit_micros: int | None = None,
    max_duration_us: int | None = None,
    priority: int = 0,
    is_large: bool = False,
) -> Spec:
    gpus = max(pool.gpus for pool in stage.fleet.pools)
    is_below = chance.random() < 0.3
    most = max(1, len(stage.fleet.nodes) // 6)
    nodes = chance.choice((1, 1, 1, 2, 2, 3, most))
    is_elastic = capacity.kind is CapacityKind.SPOT and not is_below and chance.random() < 0.3
    if is_elastic:
        nodes = chance.choice((1, 1, 2))
    made = Spec(
        name=f"job-{chance.getrandbits(48):012x}",
        command=_program(stage, chance).command(),
        workdir="/",
        env=(),
        env_file=None,
        storage=(),
        nodes=max(2, most) if is_large else nodes,
        gpus=chance.randint(1, gpus) if is_below and not is_large else gpus,
        instance_type=None,
        interconnect=chance.choice((Interconnect.FABRIC,) * 5 + (Interconnect.ANY,)),
        capacity=capacity,
        limit_price_micros=limit_micros,
        max_spend_micros=chance.choice((None, None, None, 2 * MICROS, 50 * MICROS)),
        checkpoint=None,
        priority=priority,
        retry_failures=chance.choice((0, 3)),
        max_duration_us=max_duration_us or chance.choice((None, None, None, HOUR_US)),
        moves=chance.choice((Moves.NEEDED, Moves.NEEDED, Moves.CHEAPER)),
        spread=chance.random() < 0.6,
    )
    if capacity.kind is not CapacityKind.SPOT:
        return replace(made, moves=Moves.NEEDED)
    if not is_elastic:
        return made
    number = int(made.name.removeprefix("job-"), 16)
    program = replace(program_of(made.command), never_begins=(0, 0, 2, 3)[number // 2 % 4])
    return replace(
        made,
        command=program.command(),
        nodes=nodes,
        gpus=gpus,
        most_nodes=nodes + chance.choice((1, 2, most + 1)),
        interconnect=Interconnect.FABRIC,
        moves=Moves.NEEDED,
        resize=Resize.LIVE if number % 2 else Resize.RESTART,
    )


def _in_markets(stage: Stage, spec: Spec) -> Spec:
    """Now and then it bids in several markets, by the number in its name: so that all other acts of
    a seed are as if it bid in one."""
    number = int(spec.name.removeprefix("job-"), 16)
    markets = sorted({pool.market for pool in stage.fleet.pools})
    is_plain = not spec.is_elastic and spec.deadline is None
    if not is_plain or len(markets) < 2 or number % 3:
        return spec
    chance = random.Random(number)
    chance.shuffle(markets)
    limits = [round(chance.choice((1, 2, 3, 5, 8, 12)) * MICROS) for _ in markets]
    choices = tuple(
        Choice(instance_type=market, limit_price_micros=limit)
        for market, limit in zip(markets, limits, strict=True)
    )
    least = min(pool.gpus for pool in stage.fleet.pools)
    return replace(spec, choices=choices, gpus=min(spec.gpus, least))


def _after(stage: Stage, spec: Spec, org: str) -> tuple[Dependency, ...]:
    """Now and then it waits for one or two others of its org, by the number in its name: so that
    all other acts of a seed are as if nothing waited."""
    number = int(spec.name.removeprefix("job-"), 16)
    world = stage.world
    if world is None or number % 8:
        return ()
    chance = random.Random(number)
    live = list(world.live_of_org.get(org, ()))
    others = chance.sample(live, min(len(live), chance.choice((1, 1, 2))))
    return tuple(
        Dependency(workload=name, condition=chance.choice(list(Condition))) for name in others
    )


def _array(spec: Spec) -> ArrayTerms | None:
    """Now and then it is an array, by the number in its name, as in `_after`."""
    number = int(spec.name.removeprefix("job-"), 16)
    if number % 8 != 1:
        return None
    chance = random.Random(number)
    first = chance.choice((0, 1, 7))
    members: tuple[tuple[int, int], ...] = ((first, first + chance.choice((0, 1, 4, 30))),)
    if chance.random() < 0.3:
        members = (*members, (90, 92))
    return ArrayTerms(members=members, most_running=chance.choice((None, 1, 2, 4)))


def _with_deadline(stage: Stage, spec: Spec) -> Spec:
    """Now and then it has a deadline, or another priority, by the number in its name, as in
    `_after`."""
    number = int(spec.name.removeprefix("job-"), 16)
    if number % 8 == 3:
        return replace(spec, priority=number // 8 % 4)
    is_fit = not spec.is_elastic and spec.interconnect is Interconnect.FABRIC
    if number % 8 not in (2, 4) or not is_fit:
        return spec
    chance = random.Random(number)
    duration_us = chance.choice((5, 20, 60)) * MINUTE_US
    by_us = stage.present_us() + duration_us + chance.choice((1, 5, 30, 120)) * MINUTE_US
    deadline = DeadlineTerms(by_us=by_us, duration_us=duration_us)
    return replace(spec, max_duration_us=None, max_spend_micros=None, deadline=deadline)


def _some(world: World, name: str, chance: random.Random) -> Spans | None:
    """All members of an array, or some of them; None too where it is none."""
    terms = world.records.workloads[name].spec.array
    if terms is None or chance.random() < 0.4:
        return None
    first = terms.members[0][0]
    return ((first + 1, first + 1),) if chance.random() < 0.3 else terms.members[:1]


def _program(stage: Stage, chance: random.Random) -> Program:
    work_us = chance.choice((30, 300, 1200, 3600, 14_400)) * SECOND_US
    saves = chance.choice((None, 1, 5, 20, 200))
    is_deaf = chance.random() < 0.1
    every = chance.choice((None, 60, 600))
    fails = chance.random() < 0.1
    lingers = stage.has("engine") and chance.random() < 0.05
    return Program(
        start_us=chance.choice((0, 1, 5, 40)) * SECOND_US,
        work_us=work_us,
        save_us=None if is_deaf or saves is None else saves * SECOND_US,
        every_us=None if every is None else every * SECOND_US,
        fail_us=work_us // 2 if fails else None,
        linger_us=chance.choice((20, 200, 2000)) * SECOND_US if lingers else 0,
        is_deaf=is_deaf,
    )


def _market(stage: Stage, chance: random.Random) -> str:
    return chance.choice(stage.fleet.pools).market


def _live(world: World | None, chance: random.Random) -> str | None:
    """A workload that lives, seldom one that has ended."""
    if world is None:
        return None
    names = list(world.live if world.live and chance.random() < 0.95 else world.records.workloads)
    return chance.choice(names) if names else None


def _reservation(world: World | None, chance: random.Random) -> str | None:
    names = list(world.records.reservations) if world is not None else []
    return chance.choice(names) if names else None


def _user_of(stage: Stage, workload: str) -> str | None:
    assert stage.world is not None
    return owner_of(stage.world.records.workloads[workload].org)


def _owner(stage: Stage, reservation: str) -> str:
    assert stage.world is not None
    return owner_of(stage.world.records.reservations[reservation].org)
