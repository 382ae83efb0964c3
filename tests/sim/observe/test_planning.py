"""Plans of a backfill: by hand, and beside those that a real Slurm made."""

from pathlib import Path

from parkade.sim.observe.free_nodes import FreeNodes, as_set
from parkade.sim.observe.jobs import Jobs
from parkade.sim.observe.planning import Plan, Release, plan, releases
from parkade.sim.observe.sacct import read_jobs
from parkade.sim.observe.sinfo import read_fleet
from parkade.sim.observe.values import hosts
from tests.sim.observe.record import KEPT
from tests.sim.observe.traces import BEGIN_S, row, write_sacct, write_sinfo

NEARLY_ALL = 0.95
A_SECOND = 1


class Cluster:
    """The jobs and nodes of a trace, and who runs where."""

    def __init__(self, jobs: Jobs, free: FreeNodes) -> None:
        self.jobs, self.free = jobs, free
        self.seats: dict[int, list[int]] = {}
        self.ends_s: dict[int, int] = {}

    def start(self, job: int, nodes: list[int], at_s: int) -> None:
        """A job takes its nodes."""
        self.seats[job], self.ends_s[job] = nodes, at_s + self.jobs.limit_s[job]
        self._take(job, nodes, 1)

    def end(self, job: int) -> None:
        """A job gives them back."""
        self._take(job, self.seats.pop(job), -1)
        del self.ends_s[job]

    def plan(self, job: int, now_s: int, plans: list[Plan]) -> Plan | None:
        """Ours for a job that waits."""
        return plan(
            job,
            self.jobs.limit_s[job],
            now_s,
            jobs=self.jobs,
            free=self.free,
            plans=plans,
            coming=releases(self.seats, self.ends_s),
        )

    def _take(self, job: int, nodes: list[int], sign: int) -> None:
        for node in nodes:
            gpus, cpus = self.jobs.gpus_per_node(job), self.jobs.cpus_per_node(job)
            self.free.take(node, sign * gpus, sign * cpus)


def cluster(folder: Path, *rows: str, nodes: int) -> Cluster:
    """Jobs in the order of the rows, numbered from 0."""
    jobs, _ = read_jobs(write_sacct(folder, *rows))
    return Cluster(jobs, FreeNodes(jobs, read_fleet(write_sinfo(folder, nodes), frozenset())))


def test_ends_that_lie_close_together_count_as_the_last_of_them(tmp_path: Path) -> None:
    rows = [row(number, TimelimitRaw="1") for number in range(1, 5)]
    made = cluster(tmp_path, *rows, nodes=3)
    assert BEGIN_S % 30 == 10
    for job, at_s in enumerate((0, 5, 55)):
        made.start(job, [job], BEGIN_S + at_s)
    # Half a minute begins at 80 s, so that the first window reaches until 110 s: the ends at 60 and
    # 65 s are in it, that at 115 s is not.
    assert made.plan(3, BEGIN_S, []) == Plan(BEGIN_S + 65, BEGIN_S + 125, 0b001)


def test_a_job_that_is_passed_over_brings_the_next_into_the_window(tmp_path: Path) -> None:
    rows = [row(1), row(2), row(3, TimelimitRaw="10"), row(4, TimelimitRaw="1")]
    made = cluster(tmp_path, *rows, nodes=3)
    coming = [
        Release(BEGIN_S + 60, 0, 0b001),
        Release(BEGIN_S + 61, 1, 0b010),
        Release(BEGIN_S + 600, 2, 0b100),
    ]
    for job in range(3):
        made.start(job, [job], BEGIN_S)
    kept = [Plan(BEGIN_S, BEGIN_S + 1000, 0b010)]
    found = plan(3, 60, BEGIN_S, jobs=made.jobs, free=made.free, plans=kept, coming=coming)
    assert found == Plan(BEGIN_S + 600, BEGIN_S + 660, 0b001)


def test_a_plan_waits_for_the_end_of_one_that_gives_more_nodes(tmp_path: Path) -> None:
    rows = [row(1, gpus=16, NNodes="2", TimelimitRaw="1")]
    made = cluster(tmp_path, *rows, nodes=2)
    kept = [Plan(BEGIN_S + 30, BEGIN_S + 90, 0b01)]
    assert made.plan(0, BEGIN_S, []) == Plan(BEGIN_S, BEGIN_S + 60, 0b11)
    assert made.plan(0, BEGIN_S, kept) == Plan(BEGIN_S + 90, BEGIN_S + 150, 0b11)


def test_what_can_never_run_has_no_plan(tmp_path: Path) -> None:
    made = cluster(tmp_path, row(1, gpus=16, NNodes="2"), nodes=1)
    assert made.plan(0, BEGIN_S, []) is None


def test_plans_are_those_that_a_real_slurm_made() -> None:
    """Of a recorded log: every job that a backfill started, ours starts then on the same nodes;
    nearly every plan is the same, and its instant within a second."""
    jobs, _ = read_jobs(KEPT / "backfill.sacct")
    fleet = read_fleet(KEPT / "backfill.sinfo", frozenset())
    made = Cluster(jobs, FreeNodes(jobs, fleet))
    plans: list[Plan] = []
    alike = asked = 0
    for line in (KEPT / "backfill.passes").read_text().splitlines():
        at, what, *words = line.split()
        now_s, job = int(at), int(words[0]) - 1 if words else -1
        nodes = [made.free.place_of[it] for it in hosts(words[-1])] if words[1:] else []
        match what:
            case "pass":
                plans = []
            case "end":
                made.end(job)
            case "start":
                assert made.free.find(job) == nodes, line
                made.start(job, nodes, now_s)
            case "fill":
                found = made.plan(job, now_s, plans)
                assert found is not None and found.start_s == now_s, line
                assert found.nodes == as_set(nodes), line
                made.start(job, nodes, now_s)
            case _:
                its = Plan(int(words[1]), int(words[2]), as_set(nodes))
                ours = made.plan(job, now_s, plans)
                asked += 1
                if ours is not None and ours.nodes == its.nodes:
                    alike += abs(ours.start_s - its.start_s) <= A_SECOND
                plans.append(its)
    assert asked > 100
    assert alike / asked >= NEARLY_ALL, f"{alike} of {asked}"
