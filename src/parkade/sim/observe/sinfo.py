"""`sinfo -N` as a fleet: one row for each node and partition."""

from pathlib import Path

from parkade.core.units.visible import visible
from parkade.sim.observe.asking import SINFO, SINFO_COLUMNS
from parkade.sim.observe.fleet import Fleet, Node, Partition
from parkade.sim.observe.jobs import NEVER
from parkade.sim.observe.lines import Lines
from parkade.sim.observe.values import MOST_NODES, limit_s, node_gpus
from parkade.sim.replay.tables import BadData

AWAY = ("down", "drain", "fail", "maint", "unk", "inval", "future", "reboot", "power")


class _Partition:
    def __init__(self, tier: int, most_s: int) -> None:
        self.tier, self.most_s = tier, most_s
        self.nodes: list[str] = []
        self.has_other_nodes = False


def read_fleet(file: Path, seen: frozenset[str]) -> Fleet:
    """The fleet; `seen` are the nodes that jobs ran on. Raises `BadData`."""
    rows = iter(Lines(file))
    header = [name.strip() for name in next(rows, "").split("|")]
    lacking = [name for name in SINFO_COLUMNS if name not in header]
    if lacking:
        raise BadData(
            f"{file} is not what is needed: it lacks the columns {', '.join(lacking)}. Make it"
            f" with\n  {SINFO}"
        )
    places = [header.index(name) for name in SINFO_COLUMNS]
    nodes: dict[str, Node] = {}
    away: set[str] = set()
    partitions: dict[str, _Partition] = {}
    for number, line in enumerate(rows, 2):
        if not line.strip():
            continue
        try:
            row = [line.split("|")[place].strip() for place in places]
            name, partition, gres, cpus, state, tier, most = row
            model, gpus = node_gpus(gres)
            most_s = limit_s(most)
            known = partitions.setdefault(
                partition.rstrip("*"), _Partition(int(tier), NEVER if most_s is None else most_s)
            )
            if not gpus:
                known.has_other_nodes = True
                continue
            nodes[name] = Node(name=name, model=model, gpus=gpus, cpus=int(cpus))
            known.nodes.append(name)
        except (ValueError, IndexError) as error:
            raise BadData(
                f"{file}, line {number}: {visible(line[:160])!r} is no row of\n  {SINFO}\n({error})"
            ) from None
        if state.lower().startswith(AWAY) and name not in seen:
            away.add(name)
        if len(nodes) > MOST_NODES:
            raise BadData(f"{file} has more than {MOST_NODES:,} nodes")
    names = sorted(set(nodes) - away)
    if not names:
        raise BadData(f"{file} has no node with GPUs in use; {SINFO}")
    place_of = {name: place for place, name in enumerate(names)}
    return Fleet(
        nodes=tuple(nodes[name] for name in names),
        partitions=tuple(
            Partition(
                name=name,
                nodes=tuple(sorted({place_of[it] for it in found.nodes if it in place_of})),
                tier=found.tier,
                limit_s=found.most_s,
                has_other_nodes=found.has_other_nodes,
            )
            for name, found in partitions.items()
            if any(it in place_of for it in found.nodes)
        ),
        is_inferred=False,
        unseen=len(away),
    )
