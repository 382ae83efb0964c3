"""Small files as `sacct` and `sinfo` print them."""

from pathlib import Path

from parkade.sim.observe.asking import ASKED, SINFO_COLUMNS

BEGIN_S = 1_780_000_000
HEADER = ASKED.replace(",", "|")
DEFAULTS = {
    "Account": "bio",
    "User": "ann",
    "Partition": "main",
    "QOS": "normal",
    "State": "COMPLETED",
    "TimelimitRaw": "60",
    "NodeList": "n1",
    "Priority": "1",
    "Reason": "None",
    "TotalCPU": "00:00:00",
}


def tres(gpus: int, nodes: int = 1) -> str:
    """As AllocTRES says it."""
    return f"billing=1,cpu={4 * gpus},gres/gpu:h100={gpus},gres/gpu={gpus},node={nodes}"


def row(
    number: int, *, at_s: int = 0, start_s: int = 0, end_s: int = 60, gpus: int = 8, **other: str
) -> str:
    """One job; instants are seconds after `BEGIN_S`."""
    nodes = int(other.get("NNodes", "1"))
    values = {
        **DEFAULTS,
        "JobID": str(number),
        "JobIDRaw": str(number),
        "Submit": str(BEGIN_S + at_s),
        "Eligible": str(BEGIN_S + at_s),
        "Start": str(BEGIN_S + start_s),
        "End": str(BEGIN_S + end_s),
        "ReqTRES": tres(gpus, nodes),
        "AllocTRES": tres(gpus, nodes),
        "NNodes": "1",
        **other,
    }
    return "|".join(values.get(name, "") for name in ASKED.split(","))


def write_sacct(folder: Path, *rows: str, end: str = "\n") -> Path:
    """The file of these rows."""
    file = folder / "jobs.sacct"
    file.write_text("\n".join([HEADER, *rows]) + end, encoding="utf-8")
    return file


def write_sinfo(folder: Path, nodes: int, gpus: int = 8) -> Path:
    """So many nodes of one partition."""
    lines = ["|".join(SINFO_COLUMNS)]
    lines += [f"n{it}|main|gpu:h100:{gpus}|64|idle|1|infinite" for it in range(1, nodes + 1)]
    file = folder / "nodes.sinfo"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file
