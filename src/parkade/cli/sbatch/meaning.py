"""What the options of a batch script mean as a workload, and what of them is left out.

Pure: options in, keys of the spec and remarks out. What a script sees of its job (`SLURM_NTASKS`,
`srun`) is set on the nodes, by `wrapping`.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

import msgspec

from parkade.cli.sbatch.options import Given, Wrong
from parkade.cli.sbatch.script import Remark
from parkade.cli.sbatch.shape import Shape, shape_of
from parkade.core.units.names import ENV_KEY, ENV_PREFIX, REFERENCE, WORKLOAD_NAME

SIGNALS = {
    1: "SIGHUP", 2: "SIGINT", 10: "SIGUSR1", 12: "SIGUSR2", 15: "SIGTERM",
}  # fmt: skip
SIGNAL = re.compile(r"(?:[RrBb]{1,2}:)?([A-Za-z0-9]+)(?:@([0-9]{1,5}))?")
SIGNAL_S = 60
"""How long before the end Slurm signals where none is said."""
TIME = re.compile(r"(?:([0-9]{1,6})-)?([0-9]{1,7})(?::([0-9]{1,2}))?(?::([0-9]{1,2}))?")
FOR_EVER = ("unlimited", "infinite", "0")
DEPENDENCIES = {
    "after": "after", "afterok": "after_ok", "afternotok": "after_not_ok", "afterany": "after_any",
}  # fmt: skip
NUMBER = re.compile(r"[0-9]+(_[0-9]+)?")
MODES = {"a": "append", "t": "truncate"}


class Files(msgspec.Struct, frozen=True, kw_only=True):
    """Where a script reads and writes, in Slurm's patterns; empty where it does not say."""

    output: str
    error: str
    input: str
    mode: str


class Meaning(msgspec.Struct, frozen=True, kw_only=True):
    """`spec`: keys of a workload, without its command. `account`: the org that shall pay."""

    spec: dict[str, Any]
    shape: Shape
    files: Files
    account: Given | None
    is_held: bool
    remarks: tuple[Remark, ...]
    is_parsable: bool
    is_quiet: bool
    is_test: bool
    waits: bool


def mean(given: Sequence[Given], *, script: str, folder: str, env: Mapping[str, str]) -> Meaning:
    """`given`: later ones win. `script` is its file's name, `folder` where it was submitted, `env`
    what is exported there. Raises Wrong for what cannot be submitted."""
    last = {one.option.name: one for one in given}
    if "dependency" in last:
        dependencies = _dependencies(last["dependency"])
    else:
        dependencies = {}
    shape = shape_of(last)
    variables, exported = _export(last.get("export"), env)
    spec: dict[str, Any] = {
        "name": _name(last["job-name"].value if "job-name" in last else PurePath(script).name),
        "workdir": _below(folder, last["chdir"].value if "chdir" in last else "."),
        "nodes": shape.least_nodes,
        "gpus": shape.gpus,
        "spread": shape.most_nodes > 1 or None,
        "array": last["array"].value.strip("[]") if "array" in last else None,
        "capacity": _reservation(last.get("reservation")),
        "max_duration": _time(last.get("time")),
        "checkpoint": _signal(last.get("signal")),
        "env": variables or None,
        "image": last["container-image"].value if "container-image" in last else None,
        **dependencies,
    }
    if shape.most_nodes > shape.least_nodes:
        spec["nodes"] = {"min": shape.least_nodes, "max": shape.most_nodes}
        spec["spread"] = None
    left = [
        Remark(place=one.place, text=f"{one.text}: {one.option.left}")
        for one in last.values()
        if one.option.left is not None
    ]
    remarks = [*left, *shape.remarks, *exported, *_partly(last, shape)]
    return Meaning(
        spec={key: value for key, value in spec.items() if value is not None},
        shape=shape,
        files=_files(last),
        account=last.get("account"),
        is_held="hold" in last,
        remarks=tuple(remarks),
        is_parsable="parsable" in last,
        is_quiet="quiet" in last,
        is_test="test-only" in last,
        waits="wait" in last,
    )


def _name(written: str) -> str:
    """In letters that a name may have."""
    kept = "".join(
        each if each.isascii() and (each.isalnum() or each in "._-") else "-" for each in written
    )
    return kept[: WORKLOAD_NAME.longest].strip("._-") or "job"


def _below(folder: str, path: str) -> str:
    return str(PurePath(folder, path))


def _reservation(given: Given | None) -> str | None:
    if given is None:
        return None
    if not REFERENCE.accepts(given.value):
        raise Wrong(given.place, f"{given.text}: {REFERENCE.words}")
    return f"reservation/{given.value}"


def _time(given: Given | None) -> str | None:
    """Minutes, MM:SS, HH:MM:SS, D-HH, D-HH:MM or D-HH:MM:SS, as seconds."""
    if given is None or given.value.lower() in FOR_EVER:
        return None
    found = TIME.fullmatch(given.value)
    if found is None:
        raise Wrong(given.place, f"{given.text}: write it like 90, 12:00:00 or 1-12:00:00")
    days, *rest = (None if part is None else int(part) for part in found.groups())
    numbers = [part for part in rest if part is not None]
    # Without days one number is minutes and two are minutes and seconds; with days hours lead.
    hours_lead = days is not None or len(numbers) == 3
    units = (3600, 60, 1) if hours_lead else (60, 1)
    seconds = (days or 0) * 86_400
    seconds += sum(unit * number for unit, number in zip(units, numbers, strict=False))
    return f"{seconds}s" if seconds else None


def _signal(given: Given | None) -> dict[str, str] | None:
    if given is None:
        return None
    found = SIGNAL.fullmatch(given.value)
    word = "" if found is None else found[1].upper()
    name = SIGNALS.get(int(word)) if word.isdigit() else f"SIG{word.removeprefix('SIG')}"
    if found is None or name not in SIGNALS.values():
        wanted = ", ".join(one.removeprefix("SIG") for one in SIGNALS.values())
        raise Wrong(given.place, f"{given.text}: write one of {wanted}, like USR1@120")
    return {"signal": str(name), "needs": f"{int(found[2] or SIGNAL_S)}s"}


def _dependencies(given: Given) -> dict[str, list[str]]:
    """`afterok:w3:w4,afterany:w5`; a number is the workload's."""
    found: dict[str, list[str]] = {}
    if "?" in given.value:
        raise Wrong(given.place, f"{given.text}: all have to come about; `?` is not there")
    for part in given.value.split(","):
        kind, *others = part.split(":")
        if kind not in DEPENDENCIES:
            known = ", ".join(DEPENDENCIES)
            raise Wrong(given.place, f"{given.text}: {kind} is not there; {known} are")
        if not others or any(not one or "+" in one for one in others):
            raise Wrong(given.place, f"{given.text}: write {kind}:w12, without a time")
        names = [f"w{one}" if NUMBER.fullmatch(one) else one for one in others]
        found.setdefault(DEPENDENCIES[kind], []).extend(names)
    return found


def _export(given: Given | None, env: Mapping[str, str]) -> tuple[dict[str, str], list[Remark]]:
    """The variables that are sent, and what is said of the others."""
    place = "the script" if given is None else given.place
    parts = ["ALL"] if given is None else given.value.split(",")
    found: dict[str, str] = {}
    remarks: list[Remark] = []
    for part in parts:
        name, equals, value = part.partition("=")
        if part in ("NONE", "NIL", ""):
            continue
        if part == "ALL":
            text = "your shell's environment is not sent, for it may hold secrets: --export=NAME"
            remarks.append(Remark(place=place, text=f"{text} sends one, and all may read it"))
        elif not ENV_KEY.accepts(name) or name.startswith(ENV_PREFIX):
            raise Wrong(place, f"--export: {name[:60]!r} is no name that a variable may have here")
        elif equals:
            found[name] = value
        elif name in env:
            found[name] = env[name]
        else:
            remarks.append(Remark(place=place, text=f"--export={name}: there is no such variable"))
    return found, remarks


def _partly(last: Mapping[str, Given], shape: Shape) -> list[Remark]:
    """What is taken, but not to the letter."""
    found = []
    if "cpus-per-task" in last:
        one = last["cpus-per-task"]
        text = "each GPU brings its share of the node's processors; SLURM_CPUS_PER_TASK says it"
        found.append(Remark(place=one.place, text=f"{one.text}: {text}"))
    if "output" in last and shape.most_nodes > 1:
        one = last["output"]
        text = "has the output of the first node; of the others `parkade logs --rank N`"
        found.append(Remark(place=one.place, text=f"{one.text}: {text}"))
    if "time" in last and _time(last["time"]) is not None:
        one = last["time"]
        text = "for all attempts together; a move does not begin it anew"
        found.append(Remark(place=one.place, text=f"{one.text}: {text}"))
    return found


def _files(last: Mapping[str, Given]) -> Files:
    mode = last.get("open-mode")
    if mode is not None and mode.value[:1] not in MODES:
        raise Wrong(mode.place, f"{mode.text}: write append or truncate")
    paths = {
        name: last[name].value if name in last else "" for name in ("output", "error", "input")
    }
    return Files(
        output=paths["output"],
        error=paths["error"],
        input=paths["input"],
        mode="" if mode is None else MODES[mode.value[:1]],
    )
