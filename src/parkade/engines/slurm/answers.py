"""Reads what `squeue --json` and `sinfo --json` answer, of Slurm 22.05 and later, into our values.

An answer that lists errors is an error, whatever else it holds; so is one that is not whole.
Numbers and states have several forms in the versions of Slurm: a number is also an object with
`number`, a state also a list. Free text of other users never decides anything.
"""

import re
from typing import Any, TypeVar

import msgspec

from parkade.ports import Transient

LIVE = frozenset(
    {"PENDING", "RUNNING", "SUSPENDED", "COMPLETING", "CONFIGURING", "RESIZING", "REQUEUED"}
    | {"REQUEUE_FED", "REQUEUE_HOLD", "SIGNALING", "SPECIAL_EXIT", "STAGE_OUT", "STOPPED"}
    | {"POWER_UP_NODE", "UPDATE_DB"}
)
"""While one of these words is value of a job, its nodes are not free."""
WAITING = frozenset({"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD"})
MARK = "parkade"
MOST_TASKS = 100_000
INDEXES = re.compile(r"gpu[^,]*?\(IDX:([0-9,-]+)\)")


ALONE = frozenset({"none", "user", "mcs"})
"""How Slurm says with whom a job shares its nodes, where that is not everybody."""
MEMORY = re.compile(r"(?:^|,)mem=([0-9.]+)([KMGTP]?)")
UNITS_MB = {"K": 1 / 1024, "": 1, "M": 1, "G": 1024, "T": 1024**2, "P": 1024**3}


class Asks(msgspec.Struct, frozen=True, kw_only=True):
    """What a job was submitted with: whose it is, and what it waits for. `array`: the job's whole
    array, 0 for none; `tasks`: how many of its tasks may run at once that this record stands
    for. `gpus`: of one task, all nodes together; `cpus` and `memory_mb`: of all its nodes, as Slurm
    counts them. `is_exclusive`: it shares its nodes with no other job, or only with some."""

    user: str = ""
    account: str = ""
    partition: str = ""
    qos: str = ""
    reservation: str = ""
    array: int = 0
    array_most: int = 0
    tasks: int = 1
    nodes: int = 1
    gpus: int = 0
    cpus: int = 0
    memory_mb: int = 0
    is_exclusive: bool = False


NOTHING = Asks()


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job, or one part of a heterogeneous one, whose `leader` is its first part. `devices`: GPU
    indexes of each node, while it runs. `comment` and `reason` are words of any user;
    `submitted_us` and `ended_us` are of the controller's clock; of a job that lives the end is the
    one that is planned, 0 where there is none."""

    number: int
    leader: int
    states: frozenset[str]
    reason: str
    uid: int
    comment: str
    nodes: tuple[str, ...]
    devices: tuple[tuple[int, ...], ...]
    submitted_us: int = 0
    ended_us: int = 0
    asks: Asks = NOTHING

    @property
    def is_live(self) -> bool:
        """Whether its nodes are still its own, or it waits for them."""
        return bool(self.states & LIVE)

    @property
    def is_marked(self) -> bool:
        """Whether its comment says that it is ours, which any user can write."""
        return self.comment.startswith(f"{MARK}:")

    @property
    def is_waiting(self) -> bool:
        """Whether nothing of it runs yet."""
        return bool(self.states & WAITING)


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A node as Slurm knows it; `reason` is why it is drained or down, and `reason_by` who value
    so."""

    name: str
    address: str
    states: frozenset[str]
    reason: str
    reason_by: str
    gpus: int
    cpus: int
    memory_mb: int


class _Job(msgspec.Struct):
    job_id: Any
    job_state: Any
    user_id: Any
    comment: Any = ""
    state_reason: str = ""
    het_job_id: Any = 0
    gres_detail: list[str] | None = None
    job_resources: Any = None
    user_name: Any = ""
    account: Any = ""
    partition: Any = ""
    qos: Any = ""
    resv_name: Any = ""
    array_job_id: Any = 0
    array_max_tasks: Any = 0
    array_task_string: Any = ""
    node_count: Any = 1
    tasks: Any = 1
    tres_per_node: Any = ""
    tres_per_job: Any = ""
    tres_per_task: Any = ""
    tres_req_str: Any = ""
    shared: Any = None
    cpus: Any = 0
    submit_time: Any = 0
    end_time: Any = 0


class _Node(msgspec.Struct):
    name: str
    state: Any
    address: str = ""
    state_flags: list[str] | None = None
    reason: Any = ""
    reason_set_by_user: Any = ""
    gres: str = ""
    cpus: Any = 0
    effective_cpus: Any = None
    real_memory: Any = 0


class _Jobs(msgspec.Struct):
    jobs: list[_Job]
    errors: list[Any]


class _Nodes(msgspec.Struct):
    nodes: list[_Node]
    errors: list[Any]


def jobs(answer: bytes) -> tuple[Job, ...]:
    """All jobs that the controller knows. Cost grows with the answer."""
    return tuple(_job(one) for one in _decode(answer, _Jobs).jobs)


def nodes(answer: bytes) -> dict[str, Node]:
    """All nodes, by name."""
    return {one.name: _node(one) for one in _decode(answer, _Nodes).nodes}


T = TypeVar("T", _Jobs, _Nodes)


def _decode(answer: bytes, kind: type[T]) -> T:
    try:
        found = msgspec.json.decode(answer, type=kind)
    except (msgspec.MsgspecError, ValueError) as error:
        raise Transient(f"Slurm's answer is not whole: {error}"[:300]) from None
    if found.errors:
        raise Transient(f"Slurm's answer holds errors: {_error_words(found.errors[0])}"[:300])
    return found


def _error_words(error: Any) -> str:
    """In Slurm's own words, and where it says so, of which call; not the object around them."""
    if not isinstance(error, dict):
        return _text(error) or "one without words"
    parts = dict.fromkeys(_text(error.get(key)).strip() for key in ("error", "description"))
    words = ": ".join(text for text in parts if text not in ("", "Unspecified error"))
    if not words:
        number = _number(error.get("error_number"))
        return f"error {number}" if number else "one without words"
    source = _text(error.get("source")).strip()
    return f"{words} ({source})" if source else words


def _job(one: _Job) -> Job:
    number = _number(one.job_id)
    names = _allocated(one.job_resources)
    given = [_indexes(it) for it in one.gres_detail or ()]
    return Job(
        number=number,
        leader=_number(one.het_job_id) or number,
        states=_states(one.job_state),
        reason=one.state_reason,
        uid=_number(one.user_id),
        comment=one.comment if isinstance(one.comment, str) else "",
        nodes=names,
        devices=tuple(given) if len(given) == len(names) else tuple(() for _ in names),
        submitted_us=_number(one.submit_time) * 1_000_000,
        ended_us=_number(one.end_time) * 1_000_000,
        asks=_asks(one),
    )


def _asks(one: _Job) -> Asks:
    nodes = max(1, _number(one.node_count))
    per_node, per_job = _tres_gpus(one.tres_per_node), _tres_gpus(one.tres_per_job)
    per_task = _tres_gpus(one.tres_per_task)
    listed = _listed(_text(one.array_task_string))
    most = _number(one.array_max_tasks)
    return Asks(
        user=_text(one.user_name),
        account=_text(one.account),
        partition=_text(one.partition),
        qos=_text(one.qos),
        reservation=_text(one.resv_name),
        array=_number(one.array_job_id),
        array_most=most,
        tasks=max(1, min(listed, most) if most else listed),
        nodes=nodes,
        gpus=max(per_node * nodes, per_job, per_task * max(1, _number(one.tasks))),
        cpus=_number(one.cpus),
        memory_mb=_memory_mb(_text(one.tres_req_str)),
        is_exclusive=not ALONE.isdisjoint(_words(one.shared)),
    )


def _words(value: Any) -> list[str]:
    return [_text(it).lower() for it in (value if isinstance(value, list) else [value])]


def _memory_mb(tres: str) -> int:
    """Of `cpu=1,mem=64G,node=1`: 65536; 0 where it is not told."""
    found = MEMORY.search(tres)
    return int(float(found[1]) * UNITS_MB[found[2]]) if found else 0


def _tres_gpus(value: Any) -> int:
    """Of `gres:gpu:h100:4` or `gres/gpu=4`: 4."""
    text = _text(value).replace("gres/", "gres:").replace("=", ":")
    return _gpus(text.replace("gres:", ""))


def _listed(tasks: str) -> int:
    """How many tasks `1-6:2,9%3` names; 1 for none."""
    found = 0
    for span in tasks.partition("%")[0].split(","):
        words, _, step = span.partition(":")
        first, _, last = words.partition("-")
        if first.isdigit():
            found += len(range(int(first), int(last or first) + 1, int(step or 1)))
    return min(found, MOST_TASKS) or 1


def _node(one: _Node) -> Node:
    cpus = _number(one.effective_cpus) or _number(one.cpus)
    return Node(
        name=one.name,
        address=one.address or one.name,
        states=_states(one.state) | _states(one.state_flags or []),
        reason=_text(one.reason),
        reason_by=_text(one.reason_set_by_user),
        gpus=_gpus(one.gres),
        cpus=cpus,
        memory_mb=_number(one.real_memory),
    )


def _allocated(resources: Any) -> tuple[str, ...]:
    """The node names; `allocated_nodes` in 22.05, `nodes.allocation` later."""
    if not isinstance(resources, dict):
        return ()
    found = resources.get("allocated_nodes")
    if found is None and isinstance(nodes := resources.get("nodes"), dict):
        found = nodes.get("allocation")
    names = [it.get("nodename") or it.get("name") for it in found or () if isinstance(it, dict)]
    return tuple(it for it in names if isinstance(it, str))


def _indexes(text: str) -> tuple[int, ...]:
    """Of `gpu:h100:3(IDX:0-1,3)`: 0, 1, 3."""
    found: list[int] = []
    for match in INDEXES.finditer(text):
        for span in match[1].split(","):
            first, _, last = span.partition("-")
            if first.isdigit():
                found += range(int(first), int(last or first) + 1)
    return tuple(sorted(found))


def _gpus(gres: str) -> int:
    """Of `gpu:h100:8(S:0-1),nic:2`: 8."""
    found = 0
    for one in re.sub(r"\([^)]*\)", "", gres).split(","):
        words = one.split(":")
        if words[0] == "gpu":
            found += int(words[-1]) if words[-1].isdigit() else 1
    return found


def _states(value: Any) -> frozenset[str]:
    words = value if isinstance(value, list) else str(value).split("+")
    return frozenset(str(word).upper() for word in words)


def _number(value: Any) -> int:
    if isinstance(value, dict):
        value = value.get("number", 0)
    return value if isinstance(value, int) else 0


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
