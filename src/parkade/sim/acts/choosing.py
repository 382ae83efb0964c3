"""Which acts a story has, how often, and which one has a number."""

import random
from collections.abc import Callable

import msgspec

from parkade.core.units.time import SECOND_US
from parkade.sim.acts import nature, operators, people, sickness, slurm
from parkade.sim.acts.stage import Stage

Act = Callable[[Stage, random.Random], None]

FAMILIES = ("operators", "machines", "network", "engine", "agents", "server", "clock", "backups")
MARS, SLURM, CLEARINGS = "mars", "slurm", "clearings"
ALL_FAMILIES = (*FAMILIES, MARS, SLURM, CLEARINGS)
"""Kinds of trouble, each of which a story has or lacks. `mars` is drawn apart: nodes that fall sick
by themselves, with agents that watch and repair them. So is `slurm`: engines with a queue of their
own, which takes jobs of owners and of others, and users whom it does not let in. `clearings`, which
are long and decided beside submissions, has only a story that is asked for with it."""

ACTS: tuple[tuple[str, int, Act], ...] = (
    ("people", 30, people.bid),
    ("people", 5, people.on_demand),
    ("people", 8, people.own_work),
    ("people", 6, people.rebid),
    ("people", 7, people.cancel),
    ("people", 3, people.hold),
    ("people", 5, people.reserve),
    ("people", 1, people.end_reservation),
    ("people", 5, people.lend),
    ("people", 7, people.claim),
    ("people", 6, people.unclaim),
    ("people", 4, people.hostile),
    ("people", 2, people.sweep),
    ("people", 2, operators.deposit),
    ("people", 1, operators.adjust),
    ("people", 1, operators.grant),
    ("people", 3, operators.cap),
    ("operators", 3, operators.fail_node),
    ("operators", 3, operators.cordon),
    ("operators", 1, operators.drain),
    ("operators", 1, operators.prices),
    ("operators", 1, operators.terms),
    (MARS, 12, sickness.gpu_fails),
    (MARS, 12, sickness.sick_node_fails_again),
    (MARS, 1, sickness.program_fails),
    (MARS, 1, sickness.rack_loses_power),
    (MARS, 1, sickness.driver_is_rolled_out),
    (MARS, 1, sickness.reporter_lies),
    (MARS, 3, sickness.report_is_forged),
    (MARS, 2, sickness.links_flap),
    (MARS, 2, sickness.repairs_go_bad),
    (MARS, 1, sickness.mars_is_stopped),
    (MARS, 1, sickness.budgets_are_changed),
    (MARS, 2, sickness.person_looks),
    (MARS, 2, sickness.person_restores),
    (SLURM, 10, slurm.owner_submits_a_job),
    (SLURM, 3, slurm.stranger_submits_a_job),
    (SLURM, 4, slurm.job_is_cancelled),
    (SLURM, 3, slurm.fence_falls),
    (SLURM, 3, slurm.pool_observes),
    (SLURM, 3, slurm.org_is_shut_out),
    ("machines", 3, nature.machine_dies),
    ("network", 3, nature.network_is_cut),
    ("network", 3, nature.network_is_slow),
    ("engine", 4, nature.engine_fails),
    ("agents", 4, nature.agent_dies),
    ("agents", 1, nature.agent_disk_fills),
    ("server", 5, nature.server_dies),
    ("server", 1, nature.disk_is_slow),
    ("server", 1, nature.disk_is_full),
    (CLEARINGS, 6, nature.clearings_are_slow),
    ("clock", 1, nature.clock_is_set),
    ("backups", 2, nature.backup_is_taken),
    ("backups", 1, nature.backup_is_restored),
)
"""(family, weight, act)."""


class Mood(msgspec.Struct, frozen=True, kw_only=True):
    """What kind of story it is. `pace_us`: between two acts, on average."""

    families: tuple[str, ...]
    pace_us: int


def draw_mood(seed: int) -> Mood:
    """A quarter of the stories has no trouble at all: there promises are measured strictly."""
    chance = random.Random(f"{seed}/mood")
    families: tuple[str, ...] = ()
    if chance.random() < 0.75:
        rare = {"clock": 0.2, "backups": 0.2, "operators": 0.8}
        families = tuple(it for it in FAMILIES if chance.random() < rare.get(it, 0.4))
        if random.Random(f"{seed}/mood/{MARS}").random() < 0.4:
            families = (*families, MARS)
        if random.Random(f"{seed}/mood/{SLURM}").random() < 0.3:
            families = (*families, SLURM)
    return Mood(families=families, pace_us=chance.choice((1, 3, 8, 25)) * SECOND_US)


class Acts:
    """The acts of a story by number, from 1."""

    def __init__(self, seed: int, mood: Mood) -> None:
        self._seed = seed
        self._mood = mood
        known = ("people", *mood.families)
        chosen = [(weight, act) for family, weight, act in ACTS if family in known]
        self._acts = [act for _, act in chosen]
        self._weights = [weight for weight, _ in chosen]

    def span_us(self, number: int) -> int:
        """From the act before it; now and then a long pause."""
        chance = random.Random(f"{self._seed}/span/{number}")
        if chance.random() < 0.015:
            return chance.choice((300, 1200, 4000)) * SECOND_US
        return int(chance.expovariate(1.0) * self._mood.pace_us)

    def act(self, number: int) -> tuple[Act, random.Random]:
        """The act, and the stream that it draws from."""
        chance = random.Random(f"{self._seed}/act/{number}")
        return chance.choices(self._acts, self._weights)[0], chance
