"""How many nodes, GPUs and tasks a batch script asks for, from the many ways to say it.

Slurm counts tasks and lets GPUs follow, or the reverse; a workload has nodes with a number of GPUs
each. What is said twice must agree. Example: `--ntasks=16 --ntasks-per-node=8 --gpus-per-task=1` is
two nodes of eight GPUs, on each of which `srun` starts eight tasks.
"""

import re
from collections.abc import Mapping

import msgspec

from parkade.cli.sbatch.options import Given, Wrong
from parkade.cli.sbatch.script import Remark

NODES = re.compile(r"([1-9][0-9]{0,5})(?:-([1-9][0-9]{0,5}))?")
COUNT = re.compile(r"[1-9][0-9]{0,5}")
GPUS = re.compile(r"(?:([A-Za-z][A-Za-z0-9._-]*)(?::|$))?([0-9]{1,6})?")


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """`tasks`: in all, None where it follows from the nodes; `gpus_of_task`: those that each task
    gets to itself, None where all tasks of a node see all its GPUs."""

    least_nodes: int
    most_nodes: int
    gpus: int
    tasks: int | None
    tasks_of_node: int
    gpus_of_task: int | None
    processors_of_task: int | None
    remarks: tuple[Remark, ...] = ()


def shape_of(given: Mapping[str, Given]) -> Shape:
    """Raises Wrong where what is said does not agree, or asks for no GPU."""
    remarks: list[Remark] = []
    by_node = _agreed(_gpu_counts(given, ("gpus-per-node", "gres"), remarks))
    total = _agreed(_gpu_counts(given, ("gpus",), remarks))
    of_task = _agreed(_gpu_counts(given, ("gpus-per-task",), remarks))
    tasks, of_node = _count(given, "ntasks"), _count(given, "ntasks-per-node")
    least, most = _nodes(given, tasks=tasks, of_node=of_node, total=total, by_node=by_node)
    if of_node is None:
        of_gpu = _count(given, "ntasks-per-gpu")
        of_node = 1 if tasks is None else -(-tasks // least)
        if of_gpu is not None and by_node is not None and tasks is None:
            of_node = of_gpu * by_node
    ways = {
        "by node": by_node,
        "in all": None if total is None else _each(total, least, given["gpus"]),
        "by task": None if of_task is None else of_task * of_node,
    }
    numbers = {count for count in ways.values() if count is not None}
    if len(numbers) > 1:
        words = ", ".join(f"{count} {way}" for way, count in ways.items() if count is not None)
        raise Wrong(_place(given, "gpus-per-task", "gpus"), f"GPUs of a node: {words}; say it once")
    if not numbers or numbers == {0}:
        raise Wrong(
            _place(given, "gres", "gpus", "gpus-per-node"),
            "it asks for no GPU, and GPUs are what is sold: add --gpus-per-node=1",
        )
    return Shape(
        least_nodes=least,
        most_nodes=most,
        gpus=numbers.pop(),
        tasks=tasks,
        tasks_of_node=of_node,
        gpus_of_task=of_task,
        processors_of_task=_count(given, "cpus-per-task"),
        remarks=tuple(remarks),
    )


def _nodes(
    given: Mapping[str, Given],
    *,
    tasks: int | None,
    of_node: int | None,
    total: int | None,
    by_node: int | None,
) -> tuple[int, int]:
    """From how many nodes to how many."""
    if "nodes" in given:
        found = NODES.fullmatch(given["nodes"].value)
        if found is None:
            raise Wrong(given["nodes"].place, f"{given['nodes'].text}: write --nodes=4, or 2-4")
        least, most = int(found[1]), int(found[2] or found[1])
        if least > most:
            raise Wrong(given["nodes"].place, f"{given['nodes'].text}: the least stands first")
        return least, most
    if tasks is not None and of_node is not None:
        number = -(-tasks // of_node)
    elif total is not None and by_node:
        number = _each(total, by_node, given["gpus"])
    else:
        number = 1
    return number, number


def _gpu_counts(
    given: Mapping[str, Given], names: tuple[str, ...], remarks: list[Remark]
) -> list[tuple[int, Given]]:
    found = []
    for name in names:
        one = given.get(name)
        for item in one.value.split(",") if one is not None else ():
            assert one is not None, "an option that is not given has no items"
            kind, _, rest = item.partition(":" if ":" in item else "=")
            if name == "gres" and kind not in ("gpu", "gres/gpu"):
                remarks.append(Remark(place=one.place, text=f"{item} of {one.text}: only GPUs are"))
                continue
            found.append((_gpus(rest if name == "gres" else item, one, remarks), one))
    return found


def _gpus(text: str, given: Given, remarks: list[Remark]) -> int:
    """Of `8`, `h100:8`, `h100` and nothing (one)."""
    found = GPUS.fullmatch(text)
    if found is None or (found[2] is None and given.option.name != "gres"):
        raise Wrong(given.place, f"{given.text}: write a number, or MODEL:NUMBER")
    if found[1] is not None:
        remark = f"the model {found[1]} of {given.text}: say --instance-type or --market for it"
        remarks.append(Remark(place=given.place, text=remark))
    return 1 if found[2] is None else int(found[2])


def _agreed(counts: list[tuple[int, Given]]) -> int | None:
    if len({count for count, _ in counts}) > 1:
        words = " and ".join(given.text for _, given in counts)
        raise Wrong(counts[-1][1].place, f"{words} ask for different numbers; one kind of GPU each")
    return counts[0][0] if counts else None


def _each(total: int, parts: int, given: Given) -> int:
    if total % parts:
        raise Wrong(given.place, f"{given.text}: {total} cannot be shared evenly by {parts}")
    return total // parts


def _count(given: Mapping[str, Given], name: str) -> int | None:
    one = given.get(name)
    if one is None:
        return None
    if not COUNT.fullmatch(one.value):
        raise Wrong(one.place, f"{one.text}: write a whole number above 0")
    return int(one.value)


def _place(given: Mapping[str, Given], *names: str) -> str:
    return next((given[name].place for name in names if name in given), "the script")
