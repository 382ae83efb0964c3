"""The command of a workload that runs a batch script: it lays the script and what the script finds
in place of Slurm (`kit.sh`) into the workload's own folder, and runs them.

The script is a part of the command, as Slurm keeps a copy of what was submitted: a change of the
file later changes nothing. Nothing of Parkade needs to be installed on a node, only bash.
"""

import hashlib
import shlex
from collections.abc import Sequence
from importlib import resources

from parkade.cli.sbatch.meaning import Meaning
from parkade.cli.sbatch.options import Wrong
from parkade.cli.sbatch.script import Script
from parkade.core.units import bounds
from parkade.core.units.indexes import count, parse_indexes

FOLDER = '"$PARKADE_CHECKPOINT_DIR/.sbatch/$PARKADE_ATTEMPT/rank.$PARKADE_NODE_RANK"'


def command_of(script: Script, meaning: Meaning, arguments: Sequence[str], name: str) -> str:
    """What each rank runs. Raises Wrong where it would be too long."""
    mark = f"PARKADE_{hashlib.sha256(script.text.encode()).hexdigest()[:12]}"
    assert mark not in script.text, "a text that holds its own digest"
    lines = [
        f"# parkade sbatch {shlex.quote(name).splitlines()[0]}",
        f"own={FOLDER}",
        '(umask 077 && mkdir -p "$own") && cd "$own" || exit 1',
        f"cat >kit.sh <<'{mark}'",
        *_settings(script, meaning, arguments),
        _kit(),
        mark,
        f"cat >slurm_script <<'{mark}'",
        script.text.removesuffix("\n"),
        mark,
        'cd "$OLDPWD" && exec /bin/bash "$own/kit.sh" run',
    ]
    made = "\n".join(lines)
    if len(made) > bounds.COMMAND_CHARACTERS.most:
        most = bounds.COMMAND_CHARACTERS.most - len(made) + len(script.text)
        raise Wrong("the script", f"{len(script.text):,} characters; at most {most:,}")
    return made


def _settings(script: Script, meaning: Meaning, arguments: Sequence[str]) -> list[str]:
    shape, spec, files = meaning.shape, meaning.spec, meaning.files
    values: dict[str, object] = {
        "job_name": spec["name"],
        "job_tasks": shape.tasks,
        "tasks_of_node": shape.tasks_of_node,
        "gpus_of_task": shape.gpus_of_task,
        "cpus_of_task": shape.processors_of_task,
        "submit_folder": spec["workdir"],
        "out": files.output,
        "err": files.error,
        "in": files.input,
        "mode": files.mode,
    }
    lists = {
        "array": _array(spec.get("array")),
        "interpreter": script.interpreter,
        "arguments": tuple(arguments),
    }
    return [
        *(f"{key}={shlex.quote('' if it is None else str(it))}" for key, it in values.items()),
        *(f"{key}=({shlex.join(words)})" for key, words in lists.items()),
    ]


def _array(written: str | None) -> tuple[str, ...]:
    """Its least and greatest index and how many; what cannot be read is refused with the spec."""
    try:
        spans = parse_indexes((written or "").partition("%")[0])
    except ValueError:
        return ()
    return (str(spans[0][0]), str(spans[-1][1]), str(count(spans)))


def _kit() -> str:
    """Without comments and margins, which are not needed on a node."""
    text = resources.files("parkade.cli.sbatch").joinpath("kit.sh").read_text("utf-8")
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("#"))
