"""One story: a fleet, people and troubles from a seed, played until so many events are there."""

import asyncio
import hashlib
import logging
import random
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import msgspec
import structlog
from msgspec.structs import replace

from parkade.control.answers import Decided, Idempotency, PlaneStopped
from parkade.control.cycle import Asked, Outcome
from parkade.control.plane import Plane
from parkade.control.rules import RULES, Rules
from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.units.time import HOUR_US, MINUTE_US, SECOND_US
from parkade.mars.policy_file import shipped_policy
from parkade.sim.acts.choosing import MARS, SLURM, Acts, Mood, draw_mood
from parkade.sim.acts.nature import AFTERWARDS_US
from parkade.sim.acts.stage import Then
from parkade.sim.aftermath import Aftermath
from parkade.sim.clocks import SimulatedClock
from parkade.sim.findings import Finding
from parkade.sim.fleet import MEDIUM, OPERATOR, Fleet, draw_fleet, opening
from parkade.sim.judge import Judge
from parkade.sim.loop import new_loop
from parkade.sim.pool import SimulatedPool
from parkade.sim.queue import Queue
from parkade.sim.server import Server, ServerGone
from parkade.sim.store import Disk
from parkade.sim.watched import draw_buffer, draw_shares, draw_watched

OPENING_US = 2 * MINUTE_US
"""Until when nothing happens but the opening."""
AFTER_LAST_US = HOUR_US
"""How long a story of chosen acts goes on after the last of them."""

RETRY_S = 2.0
MOST_ACTS_PER_EVENT = 5
"""A story ends after so many acts by each event asked for, whatever came of them."""


class StoryPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What is played. `only`: the numbers of the acts that happen; None: all. `nodes`: how large
    the fleet is; None: a few. `families`: the troubles it has; None: drawn."""

    seed: int
    events: int
    only: tuple[int, ...] | None = None
    nodes: int | None = None
    families: tuple[str, ...] | None = None
    checks: bool = True


class PlayedAct(msgspec.Struct, frozen=True, kw_only=True):
    """An act that happened. `sequence`: of the last journal entry before it."""

    number: int
    name: str
    at_us: int
    sequence: int


class StoryOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a story came to. `acts`: the numbers of those that happened."""

    seed: int
    events: int
    acts: tuple[int, ...]
    digest: str
    families: tuple[str, ...]
    simulated_s: float
    findings: tuple[Finding, ...]
    kinds: dict[str, int]
    moves: dict[str, int]
    owners_seated: int
    owners_longest_s: float
    deaths: int


class Story:
    """Implements `acts.stage.Stage`."""

    def __init__(self, plan: StoryPlan) -> None:
        self.plan = plan
        mood: Mood = draw_mood(plan.seed)
        if plan.families is not None:
            mood = replace(mood, families=plan.families)
        self.mood = mood
        self.fleet: Fleet = self._draw_fleet()
        self.loop = new_loop()
        self.clock = SimulatedClock(self.loop)
        self.backup: Disk | None = None
        self.played: list[PlayedAct] = []
        self.is_calm = False
        """Nothing more goes wrong: the story is over and only its end is awaited."""

        self._has_other_time = False
        self._ends_us = 2**62
        self._acts = Acts(plan.seed, mood)
        self._asked = 0
        self._answers = hashlib.sha256()
        self.server = Server(
            self.loop,
            self.clock,
            self._rules(),
            chance=random.Random(f"{plan.seed}/server"),
            failed=self._failed,
        )
        self.judge = Judge(self.server, checks=plan.checks)
        self.server.stepped = self.judge.follow
        self.pools = tuple(
            SimulatedPool(
                pool.pool,
                pool.nodes,
                self.server,
                self.clock,
                random.Random(f"{plan.seed}/{pool.pool}"),
            )
            for pool in self.fleet.pools
        )
        for one in self.pools:
            one.machines.on_launch, one.machines.on_end = self.judge.launched, self.judge.ended
            one.carried = self.judge
            if self.has(SLURM):
                one.queue = Queue(one.machines, self.clock)
                one.queue.on_left_out = partial(self.judge.left_out, one.pool)
            if self.has(MARS):
                watching = random.Random(f"{plan.seed}/watched/{one.pool}")
                one.watched = draw_watched(watching, one.nodes, shipped_policy())
        self.judge.pools = {one.pool: one for one in self.pools}
        self._pool_of = {node: one for one in self.pools for node in one.machines.gpus}

    def tell(self) -> StoryOutcome:
        """Plays it to its end."""
        with quiet():
            self.server.start()
            self.loop.create_task(self._open())
            self.loop.run_until(OPENING_US, self._is_over)
            self._schedule(1)
            self.loop.run_until(2**62, self._is_over)
            if self.has(MARS) and self.plan.only is None:
                Aftermath(self).play()
            self.judge.close()
            self.loop.finish()
        return self._outcome()

    # What acts may do: see `acts.stage.Stage`.

    @property
    def world(self) -> World | None:
        """As of the last event; None before the first."""
        return self.judge.world

    @property
    def has_other_time(self) -> bool:
        """Whether the wall clock was ever set."""
        return self._has_other_time

    @has_other_time.setter
    def has_other_time(self, value: bool) -> None:
        self._has_other_time = value
        self.judge.is_time_known = not value

    def has(self, family: str) -> bool:
        """Whether this story has a family of faults."""
        return family in self.mood.families

    def present_us(self) -> int:
        """What people take for now."""
        return self.clock.now_us()

    def pool_of(self, node: str) -> SimulatedPool:
        """The pool of a node."""
        return self._pool_of[node]

    def ask(
        self, command: commands.AnyCommand, *, then: Then | None = None, after_s: float = 0
    ) -> None:
        """A request, repeated under its key until it is answered."""
        self.loop.create_task(self._request(command, then, after_s))

    def later(self, seconds: float, action: Callable[[], object]) -> None:
        """Something that follows by itself."""
        self.loop.at_us(self.loop.now_us + round(seconds * SECOND_US), action)

    def disturb(self, span_us: int) -> None:
        """Promises to owners are not measured strictly for so long, and a while after."""
        self.judge.disturb(self.loop.now_us + span_us + AFTERWARDS_US)

    def restore(self, *, accepts: bool) -> None:
        """The last backup takes the journal's place; `accepts`: agents shall obey it."""
        assert self.backup is not None
        self.server.crash()
        self.server.disk = self.backup.backup()
        if accepts:
            last = [one.disk.named().last for one in self.pools]
            self.server.accepts = 1 + max((it[0] for it in last if it is not None), default=0)
        self.judge.restored()

    # How it is played.

    async def _open(self) -> None:
        begin = list(opening(self.fleet, has_queues=self.has(SLURM)))
        if self.has(MARS):
            fabric, fleet = draw_shares(random.Random(f"{self.plan.seed}/shares"))
            begin.append(
                commands.SetAutomation(
                    by=OPERATOR, reason="as drawn", fabric_share=fabric, fleet_share=fleet
                )
            )
        for command in begin:
            outcome = await self._answer(command)
            assert not isinstance(outcome, Refusal), f"{command} was refused: {outcome.detail}"
        for pool in self.pools:
            pool.start()

    def _draw_fleet(self) -> Fleet:
        chance = random.Random(f"{self.plan.seed}/fleet")
        nodes = self.plan.nodes
        if not self.has(MARS):
            return draw_fleet(chance, nodes=nodes)
        fleet = draw_fleet(chance, nodes=nodes, most=MEDIUM)
        buffers = random.Random(f"{self.plan.seed}/buffers")
        terms = {
            market: replace(terms, buffer=draw_buffer(buffers))
            for market, terms in fleet.terms.items()
        }
        return replace(fleet, terms=terms)

    def _schedule(self, number: int) -> None:
        if self.is_calm:
            return
        if self.plan.only is not None and number > max(self.plan.only, default=0):
            self._ends_us = self.loop.now_us + AFTER_LAST_US
            self.loop.at_us(self._ends_us, lambda: None)
            return
        at_us = self.loop.now_us + self._acts.span_us(number)
        self.loop.at_us(at_us, lambda: self._play(number))

    def _play(self, number: int) -> None:
        self._schedule(number + 1)
        if self.is_calm:
            return
        if self.plan.only is None or number in self.plan.only:
            act, chance = self._acts.act(number)
            self.played.append(
                PlayedAct(
                    number=number,
                    name=act.__name__.replace("_", " "),
                    at_us=self.loop.now_us,
                    sequence=len(self.server.disk.entries),
                )
            )
            act(self, chance)

    def _is_over(self) -> bool:
        judge, plan = self.judge, self.plan
        if judge.findings or judge.events >= plan.events:
            return True
        if self.loop.now_us >= self._ends_us:
            return True
        return len(self.played) > MOST_ACTS_PER_EVENT * plan.events

    async def _request(
        self, command: commands.AnyCommand, then: Then | None, after_s: float
    ) -> None:
        outcome = await self._answer(command)
        if then is None or isinstance(outcome, Refusal):
            return
        made = [it.workload.workload for it in outcome.events if isinstance(it, events.Submitted)]
        if made:
            self.later(after_s, lambda: self.ask(then(made[0])))

    async def _answer(self, command: commands.AnyCommand) -> Outcome:
        self._asked += 1
        key = Idempotency(
            principal=command.by or OPERATOR, key=str(self._asked), request_digest=str(command)
        )

        async def ask(plane: Plane) -> Outcome:
            return await plane.ask(Asked(command=command, idempotency=key))

        while True:
            try:
                outcome = await self.server.call(ask)
            except (ServerGone, PlaneStopped):
                await asyncio.sleep(RETRY_S)
                continue
            self._answers.update(repr((key.key, type(outcome).__name__)).encode())
            self._judge_answer(command, outcome)
            return outcome

    def _judge_answer(self, command: commands.AnyCommand, outcome: Outcome) -> None:
        """What is answered is durable, and a fault of the server is none of the user's."""
        if isinstance(outcome, Decided):
            if outcome.sequence > len(self.server.disk.entries):
                self.judge.fail(AssertionError(f"{command} was answered and is not on disk"))
        elif outcome.reason is Reason.INTERNAL and not self.judge.findings:
            self.judge.fail(AssertionError(f"{command} was refused as internal"))

    def _rules(self) -> Rules:
        """Those of the product, watched; what escapes from a decision is a finding."""

        def decide(
            world: World, command: commands.AnyCommand, now_us: int
        ) -> tuple[events.AnyEvent, ...] | Refusal:
            try:
                return RULES.decide(world, command, now_us)
            except Exception as error:
                self._failed(error, f"decide({command})")
                raise

        return replace(RULES, decide=decide, watch=lambda *it: self.judge.watch(*it))

    def _failed(self, error: BaseException, what: str = "") -> None:
        self.judge.fail(error, f"{what} at {_place_of(error)}")

    def _outcome(self) -> StoryOutcome:
        judge = self.judge
        entries = self.server.disk.entries
        digest = hashlib.sha256(entries[-1].digest.encode() if entries else b"")
        digest.update(self._answers.digest())
        digest.update(str(self.loop.now_us).encode())
        return StoryOutcome(
            seed=self.plan.seed,
            events=judge.events,
            acts=tuple(act.number for act in self.played),
            digest=digest.hexdigest()[:16],
            families=self.mood.families,
            simulated_s=self.loop.now_us / SECOND_US,
            findings=tuple(judge.findings),
            kinds=dict(sorted(judge.kinds.items())),
            moves=dict(sorted(judge.seats.moves.items())),
            owners_seated=judge.owners.audit.seated,
            owners_longest_s=judge.owners.audit.longest_us / SECOND_US,
            deaths=self.server.starts - 1 + sum(pool.deaths for pool in self.pools),
        )


def _place_of(error: BaseException) -> str:
    """The line that raised it."""
    trace = traceback.extract_tb(error.__traceback__)
    return f"{trace[-1].filename.rpartition('parkade/')[2]}:{trace[-1].lineno}" if trace else "?"


def _drop(_logger: object, _name: str, _event: structlog.typing.EventDict) -> str:
    raise structlog.DropEvent


@contextmanager
def quiet() -> Iterator[None]:
    """The logs of the program say nothing: what matters is judged."""
    kept = structlog.get_config()
    agent, before = logging.getLogger("parkade.agent"), logging.getLogger("parkade.agent").level
    wrapper = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(processors=[_drop], wrapper_class=wrapper)
    agent.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        structlog.configure(**kept)
        agent.setLevel(before)
