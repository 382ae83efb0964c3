"""Decides which jobs of a cluster are owners', and what they ask of their reservations. Pure.

Theory of operation
-------------------
Owners submit to Slurm as ever. Rules say whose a job is: `account:acme=acme,qos:vision=lab` maps
jobs of the account `acme` to the reservation `acme`, and those of the QOS `vision` to `lab`. Such a
job counts while it waits for nodes, and, once it was let onto nodes that its owner was given, until
it is over, or Slurm says that it waits for a limit (`limits`). One
that waits for something else (a date, another job, a limit) asks for nothing. One that Slurm
started by itself, as while the fence was down, counts where it runs (`Group.runs_on`), as far as
its reservation goes. What is beyond that is *taken*, like the nodes of others' jobs.

A *group* is what a claim, or several, stand for. It is named after a job:

- a job of whole nodes is a group; with a heterogeneous one goes all of it;
- an array is one group, which can use nodes for as many tasks as may run at once, begins with one
  task's, and grows while tasks wait and its owner has room;
- jobs that need less than a node share the node of a group while it has GPUs, CPUs and memory
  left, and those that Slurm started by itself the node on which they run. One that is `--exclusive`
  shares none.

Example, nodes of 8 GPUs: jobs 5 (2 nodes), 6 and 7 (2 GPUs each) and 8 (8 GPUs) are the groups 5 of
2 nodes, 6 of 1 node with 6 and 7 in it, and 8 of 1 node. Each group that was given nodes has a
reservation of Slurm, `FENCE:GROUP`, in which its jobs run; so what a job is in can be read back.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from parkade.core.fleet.pool import TakenNode
from parkade.core.reservations.owner_job import OwnerJob
from parkade.engines.slurm.answers import Asks, Job, Node

KINDS = ("account", "partition", "qos", "reservation", "user")
WAITS_FOR_NODES = (
    "Resources", "Priority", "ReqNodeNotAvail", "Reservation", "Nodes_required", "NodeDown",
)  # fmt: skip
"""How Slurm's reason of a job begins that would start if it had nodes. A job without a reason yet
is not judged: it may start at once."""
UNFIT = frozenset(
    {"DOWN", "DRAIN", "DRAINED", "DRAINING", "FAIL", "FAILING", "ERROR", "NO_RESPOND"}
    | {"NOT_RESPONDING", "POWERED_DOWN", "POWERING_DOWN", "UNKNOWN", "FUTURE", "REBOOT"}
)
MOST_WORDS = 200
ANY = "*"
"""The value of a rule that fits every job, as where a whole cluster is one owner's."""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs whose `kind` is `value` are those of the owner of `reservation`."""

    kind: str
    value: str
    reservation: str


class Room(NamedTuple):
    """What a node has, or what is left of it. CPUs and memory are 0 where they are not known, and
    below 0 where more is asked for."""

    gpus: int
    cpus: int = 0
    memory_mb: int = 0

    def less(self, asks: Asks) -> "Room":
        """What a job leaves."""
        return Room(self.gpus - asks.gpus, self.cpus - asks.cpus, self.memory_mb - asks.memory_mb)


NO_ROOM = Room(0)


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs that share claims; `tasks`: of an array, those that run or wait; `free`: what is left
    for more of less than a node."""

    key: str
    reservation: str
    jobs: tuple[Job, ...]
    tasks: int
    nodes: int
    least: int
    free: Room
    runs_on: tuple[str, ...] = ()
    """Nodes on which Slurm started jobs of it by itself, and not where it was let in."""

    @property
    def asks(self) -> OwnerJob:
        """As it is told."""
        return OwnerJob(
            job=self.key,
            reservation=self.reservation,
            nodes=self.nodes,
            least=self.least,
            runs_on=self.runs_on,
        )


def parse_rules(text: str) -> tuple[Rule, ...]:
    """Of `account:acme=acme,qos:vision=lab`. ValueError says what is wrong."""
    found = []
    for part in filter(None, (one.strip() for one in text.split(","))):
        who, equals, reservation = part.partition("=")
        kind, colon, value = who.partition(":")
        is_whole = equals and colon and value and reservation and "=" not in reservation
        if not is_whole or kind not in KINDS:
            kinds = ", ".join(KINDS)
            raise ValueError(f"owners: {part[:100]!r}: write KIND:VALUE=RESERVATION; KIND: {kinds}")
        found.append(Rule(kind=kind, value=value, reservation=reservation))
    return tuple(found)


def owner_of(job: Job, rules: Sequence[Rule]) -> str | None:
    """The reservation of a job's owner by the first rule that fits; None: it is of others."""
    for rule in rules:
        if rule.value in (ANY, getattr(job.asks, rule.kind)):
            return rule.reservation
    return None


def groups(
    others: Sequence[Job],
    rules: Sequence[Rule],
    *,
    fence: str,
    node: Room,
    limited: Collection[int] = (),
    nodes: Collection[str] = (),
) -> tuple[Group, ...]:
    """Of jobs that are not ours, in order of their numbers. `limited`: leaders of waiting jobs that
    no nodes help; `node`: what each has; `nodes`: of the pool. Cost grows with the jobs, and for
    those below a node with the groups."""
    found: dict[str, Group] = {}
    for job in sorted(others, key=lambda it: it.number):
        key = let_into(job, fence)
        reservation = _known_owner(found, key) or owner_of(job, rules)
        if reservation is None or not job.is_live:
            continue
        runs_on = () if key else tuple(name for name in job.nodes if name in nodes)
        if key is None and not runs_on and not _waits_for_nodes(job):
            continue
        if job.is_waiting and job.leader in limited:
            continue
        if runs_on and _is_small(job, node):
            key = _beside(found, reservation, runs_on) or _own_key(job)
        elif key is None:
            key = _shared(found, job, reservation, node) or _own_key(job)
        _add(found, key, reservation, job, node)
        if runs_on:
            both = tuple(dict.fromkeys((*found[key].runs_on, *runs_on)))
            found[key] = msgspec.structs.replace(found[key], runs_on=both)
    return tuple(found.values())


def let_into(job: Job, fence: str) -> str | None:
    """The group whose reservation a job is in; None: none of ours."""
    prefix = f"{fence}:"
    name = job.asks.reservation
    return name.removeprefix(prefix) if name.startswith(prefix) else None


def taken(
    others: Sequence[Job],
    nodes: Sequence[str],
    *,
    fence: str,
    claimed: Collection[str],
    rules: Sequence[Rule] = (),
) -> Iterator[TakenNode]:
    """Nodes of the pool that jobs hold which are neither ours nor on nodes given to an owner.
    `claimed`: the groups that are told; a job that was let in and belongs to none of them, as where
    its rule was removed, takes its nodes. By `rules` it is known whose claims may have them."""
    own, seen = frozenset(nodes), set[str]()
    for job in sorted(others, key=lambda it: it.number):
        if not job.is_live or let_into(job, fence) in claimed:
            continue
        for node in job.nodes:
            if node in own and node not in seen:
                seen.add(node)
                owner = owner_of(job, rules)
                words = _holder(job, fence) + (f", beyond reservation {owner}" if owner else "")
                yield TakenNode(node=node, job=words[:MOST_WORDS], reservation=owner)


def unfit(nodes: Mapping[str, Node]) -> Iterator[TakenNode]:
    """Nodes on which Slurm starts nothing, by its own word: down, drained, failing."""
    for node in nodes.values():
        words = sorted(node.states & UNFIT)
        if words:
            why = f": {node.reason}" if node.reason else ""
            yield TakenNode(
                node=node.name, job=f"Slurm: {'+'.join(words).lower()}{why}"[:MOST_WORDS]
            )


def _holder(job: Job, fence: str) -> str:
    words = f"job {job.number} of {job.asks.user or job.uid}"
    return f"{words}, in the fence and not ours" if job.asks.reservation == fence else words


def _waits_for_nodes(job: Job) -> bool:
    return job.is_waiting and job.reason.startswith(WAITS_FOR_NODES)


def _known_owner(found: dict[str, Group], key: str | None) -> str | None:
    return found[key].reservation if key in found else None


def _own_key(job: Job) -> str:
    return str(job.asks.array or job.leader)


def _shared(found: dict[str, Group], job: Job, reservation: str, node: Room) -> str | None:
    """A group with room for a job that needs less than a node."""
    if not _is_small(job, node):
        return None
    for key, group in found.items():
        left = group.free.less(job.asks)
        has_gpus = group.free.gpus >= max(1, job.asks.gpus)
        has_rest = (left.cpus >= 0 or not node.cpus) and (left.memory_mb >= 0 or not node.memory_mb)
        if group.reservation == reservation and has_gpus and has_rest:
            return key
    return None


def _beside(found: dict[str, Group], reservation: str, runs_on: tuple[str, ...]) -> str | None:
    """A group that Slurm started by itself on the same node."""
    for key, group in found.items():
        if group.reservation == reservation and set(runs_on) <= set(group.runs_on):
            return key
    return None


def _is_small(job: Job, node: Room) -> bool:
    asks = job.asks
    is_plain = asks.array == 0 and job.leader == job.number and not asks.is_exclusive
    return is_plain and asks.nodes == 1 and asks.gpus < node.gpus


def _add(found: dict[str, Group], key: str, reservation: str, job: Job, node: Room) -> None:
    """Adds a job; a part of an array or of a heterogeneous job adds its nodes."""
    asks = job.asks
    one = max(asks.nodes, -(-asks.gpus // node.gpus)) if node.gpus else asks.nodes
    is_small = _is_small(job, node)
    old = found.get(key)
    if old is None:
        tasks = asks.tasks
        found[key] = Group(
            key=key,
            reservation=reservation,
            jobs=(job,),
            tasks=tasks,
            nodes=_array_nodes(job, tasks, one, node) if asks.array else one,
            least=one,
            free=node.less(asks) if is_small else NO_ROOM,
        )
        return
    tasks = old.tasks + asks.tasks
    nodes = old.nodes if is_small else old.nodes + one
    found[key] = msgspec.structs.replace(
        old,
        jobs=(*old.jobs, job),
        tasks=tasks,
        nodes=_array_nodes(job, tasks, one, node) if asks.array else nodes,
        least=old.least + (one if job.leader != job.number else 0),
        free=old.free.less(asks) if is_small else old.free,
    )


def _array_nodes(job: Job, tasks: int, one: int, node: Room) -> int:
    """What so many tasks of an array can use at once; `one`: nodes of a task. Tasks below a node
    share it: of 3 GPUs each, two on a node of 8."""
    asks = job.asks
    at_once = min(tasks, asks.array_most) if asks.array_most else tasks
    if asks.nodes != 1 or asks.is_exclusive or not 0 < asks.gpus <= node.gpus:
        return at_once * one
    both = ((node.cpus, asks.cpus), (node.memory_mb, asks.memory_mb))
    fit = [node.gpus // asks.gpus, *(has // asked for has, asked in both if has and asked)]
    return -(-at_once // max(1, min(fit)))
