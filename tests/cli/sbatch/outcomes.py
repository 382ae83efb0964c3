"""What becomes of a batch script: the workload, what is told, and what its ranks print."""

import re
from pathlib import Path
from typing import Any

from parkade.cli.sbatch import options, script, wrapping
from parkade.cli.sbatch.meaning import Meaning, mean
from tests.cli.sbatch.gang import Gang, lines

SCRIPTS = Path(__file__).parent / "scripts"
ONE_GPU = re.compile(r"GPUs \d\]")
"""Which one a step is given hangs on which was first."""
ENV = {"DATASET": "imagenet", "SECRET": "not sent"}


def read(text: str, name: str, *words: str) -> tuple[str, Meaning, list[str]]:
    """The command, the meaning and what is told; `words` stand on the command line."""
    given, rest = options.read(words, "the command line")
    parsed = script.parse(text)
    if parsed.faults:
        raise parsed.faults[0]
    meaning = mean([*parsed.given, *given], script=name, folder="/home/ann", env=ENV)
    remarks = script.in_order([*parsed.remarks, *meaning.remarks])
    told = [f"{one.place}: {one.text}" for one in remarks]
    return wrapping.command_of(parsed, meaning, rest[1:], name), meaning, told


def outcome(file: Path, folder: Path) -> dict[str, Any]:
    """Refused with all its lines, or submitted and run."""
    parsed = script.parse(file.read_text())
    faults = list(parsed.faults)
    if not faults:
        try:
            command, meaning, told = read(file.read_text(), file.name)
        except options.Wrong as wrong:
            faults.append(wrong)
    if faults:
        return {"refused": [f"{one.place}: {one.message}" for one in faults]}
    gang = Gang(folder)
    (gang.work / "answers.txt").write_text("first line\nsecond\n")
    (gang.work / "logs").mkdir()
    (gang.work / "out").mkdir()
    before = set(gang.work.rglob("*"))
    index = 5 if "array" in meaning.spec else None
    codes, outputs = gang.run(
        command, nodes=meaning.shape.least_nodes, gpus=meaning.shape.gpus, index=index,
        env=meaning.spec.get("env"),
    )  # fmt: skip
    written = sorted(set(gang.work.rglob("*")) - before)
    return {
        "workload": meaning.spec,
        "is_held": meaning.is_held,
        "account": None if meaning.account is None else meaning.account.value,
        "told": told,
        "codes": codes,
        "printed": [lines(output, folder) for output in outputs],
        "files": {
            str(each.relative_to(gang.work)): [
                ONE_GPU.sub("GPUs of one]", line) for line in lines(each.read_text(), folder)
            ]
            for each in written
        },
    }
