"""Words a workload's command for people: a batch script by its own lines, a long text by its first.

The command of a batch script (`parkade sbatch`) holds some 450 lines in which the script is only a
part. People know it by its name and its first lines. The whole of it is in the JSON.
"""

import re

SCRIPT = re.compile(
    r"^cat >slurm_script <<'(?P<mark>PARKADE_\w+)'\n(?P<text>.*?)\n(?P=mark)$", re.M | re.S
)
OPENS = "# parkade sbatch "
MOST_LINES = 8


def command_shown(command: str) -> str:
    """At most `MOST_LINES` lines of it, and how many more there are."""
    opening, _, _ = command.partition("\n")
    script = SCRIPT.search(command) if opening.startswith(OPENS) else None
    if script is None:
        return _first_lines(command.split("\n"))
    lines = script["text"].split("\n")
    return f"{opening.removeprefix('# parkade ')}\n{_first_lines(lines)}"


def _first_lines(lines: list[str]) -> str:
    more = len(lines) - MOST_LINES
    if more <= 1:
        return "\n".join(lines)
    return "\n".join([*lines[:MOST_LINES], f"… {more} more lines"])
