"""Finds what a Slurm cluster has, by commands that change nothing.

The GPUs of a node are those that Slurm counts (`CfgTRES`), or else the node's `Gres`. What a
cluster does not have (a topology, accounting) is said in `lacks`, in words.
"""

import re
from collections import Counter
from collections.abc import Mapping

import msgspec

from parkade.engines.slurm.commands import Runner
from parkade.engines.slurm.hosts import expand
from parkade.ports import EngineError

MODEL = re.compile(r"gpu:([A-Za-z][^:,()]*)")
RECENT_DAYS = 7
RECENT = ("sacct", "-a", "-X", "-n", "-P", "-S", f"now-{RECENT_DAYS}days", "-o", "account")
USERS = ("sacctmgr", "-n", "-P", "show", "user", "format=user,defaultaccount,adminlevel")
OPERATORS = ("Operator", "Administrator")
TRES_GPUS = re.compile(r"gres/gpu=(\d+)")
GRES_GPUS = re.compile(r"gpu(?::[^:,()]+)?:(\d+)")


class FoundNode(msgspec.Struct, frozen=True, kw_only=True):
    """A node with GPUs; `switch` is its leaf switch, empty where Slurm knows none."""

    name: str
    gpus: int
    model: str
    cpus: int
    memory_mb: int
    partitions: tuple[str, ...]
    switch: str


class FoundAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An account and its users; `gpus`: the most that it may hold (`GrpTRES`), None for any;
    `recent`: its jobs of the last days, as the accounting knows them."""

    account: str
    users: tuple[str, ...]
    gpus: int | None
    recent: int = 0


class FoundReservation(msgspec.Struct, frozen=True, kw_only=True):
    """A standing reservation of Slurm."""

    name: str
    accounts: tuple[str, ...]
    nodes: tuple[str, ...]


class FoundPartition(msgspec.Struct, frozen=True, kw_only=True):
    """A partition that not every account may use."""

    name: str
    accounts: tuple[str, ...]
    nodes: tuple[str, ...]


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What was found, each in order of its name."""

    nodes: tuple[FoundNode, ...]
    accounts: tuple[FoundAccount, ...]
    reservations: tuple[FoundReservation, ...]
    partitions: tuple[FoundPartition, ...]
    lacks: tuple[str, ...]
    defaults: Mapping[str, str] = msgspec.field(default_factory=dict)
    """The default account of each user, as far as Slurm says."""

    operators: tuple[str, ...] = ()
    """Users who may make reservations, as far as Slurm says."""


def find(commands: Runner) -> Found:
    """EngineError where Slurm does not say its nodes. Cost grows with the nodes and accounts."""
    lacks: list[str] = []
    switches = _switches(_ask(commands, lacks, "scontrol", "show", "topology", "--oneliner"))
    lines = _text(commands.run("scontrol", "show", "node", "--oneliner"))
    nodes = [_node(words_of(line), switches) for line in lines if line.startswith("NodeName=")]
    asks = ("sacctmgr", "-n", "-P", "show", "assoc", "format=account,user,grptres")
    recent = Counter(_ask(commands, lacks, *RECENT))
    accounts = _accounts(_ask(commands, lacks, *asks), recent)
    asked = _ask(commands, lacks, *USERS) if accounts else []
    users = [[*line.split("|"), "", ""][:3] for line in asked]
    standing = _text(commands.run("scontrol", "show", "reservation", "--oneliner"))
    return Found(
        nodes=tuple(sorted((it for it in nodes if it.gpus), key=lambda it: it.name)),
        accounts=accounts,
        reservations=tuple(
            _reservation(words_of(line)) for line in standing if line.startswith("Reservation")
        ),
        partitions=tuple(
            FoundPartition(
                name=words["PartitionName"],
                accounts=_listed(words.get("AllowAccounts", "")),
                nodes=expand(words.get("Nodes", "")),
            )
            for words in map(words_of, _text(commands.run("scontrol", "show", "partition", "-o")))
            if words.get("AllowAccounts", "ALL") != "ALL"
        ),
        lacks=tuple(lacks),
        defaults={user: account for user, account, _ in users},
        operators=tuple(sorted(user for user, _, level in users if level in OPERATORS)),
    )


def words_of(line: str) -> dict[str, str]:
    """The `Key=value` words of a line of `scontrol --oneliner`."""
    return dict(word.partition("=")[::2] for word in line.split())


def _ask(commands: Runner, lacks: list[str], *words: str) -> list[str]:
    try:
        return _text(commands.run(*words))
    except EngineError as error:
        lacks.append(" ".join(str(error).split())[:200])
        return []


def _text(answer: bytes) -> list[str]:
    return answer.decode(errors="replace").splitlines()


def _switches(lines: list[str]) -> dict[str, str]:
    """The leaf switch of each node."""
    found: dict[str, str] = {}
    for words in map(words_of, lines):
        if words.get("Level") == "0":
            found |= dict.fromkeys(expand(words.get("Nodes", "")), words["SwitchName"])
    return found


def _node(words: dict[str, str], switches: dict[str, str]) -> FoundNode:
    gres = words.get("Gres", "")
    counted = TRES_GPUS.search(words.get("CfgTRES", ""))
    gpus = int(counted[1]) if counted else sum(map(int, GRES_GPUS.findall(gres)))
    model = MODEL.search(gres)
    return FoundNode(
        name=words["NodeName"],
        gpus=gpus,
        model=model[1] if model else "gpu",
        cpus=int(words.get("CPUTot", "1")),
        memory_mb=int(words.get("RealMemory", "1")),
        partitions=tuple(words.get("Partitions", "").split(",")),
        switch=switches.get(words["NodeName"], ""),
    )


def _accounts(lines: list[str], recent: Mapping[str, int]) -> tuple[FoundAccount, ...]:
    users: dict[str, set[str]] = {}
    limits: dict[str, int] = {}
    for line in lines:
        account, user, tres = (*line.split("|"), "", "")[:3]
        if account in ("", "root"):
            continue
        users.setdefault(account, set()).update({user} - {""})
        limit = TRES_GPUS.search(tres)
        if limit and not user:
            limits[account] = int(limit[1])
    return tuple(
        FoundAccount(
            account=name,
            users=tuple(sorted(found)),
            gpus=limits.get(name),
            recent=recent.get(name, 0),
        )
        for name, found in sorted(users.items())
    )


def _reservation(words: dict[str, str]) -> FoundReservation:
    return FoundReservation(
        name=words["ReservationName"],
        accounts=_listed(words.get("Accounts", "")),
        nodes=expand(words.get("Nodes", "")),
    )


def _listed(text: str) -> tuple[str, ...]:
    return () if text in ("", "(null)") else tuple(text.split(","))
