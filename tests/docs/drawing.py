"""The life cycle of a workload as a mermaid diagram, from the table in the core.

`python -m tests.docs.drawing` prints it, to be put into docs/life.md.
"""

from parkade.core.workloads.life import ENDED, TRANSITIONS, Phase


def draw() -> str:
    """The text of the diagram; the order is that of the table and of the phases."""
    lines = ["stateDiagram-v2", "    [*] --> queued", "    [*] --> held"]
    for before in Phase:
        allowed = TRANSITIONS[before]
        lines += [f"    {before} --> {after}" for after in Phase if after in allowed]
    lines += [f"    {phase} --> [*]" for phase in Phase if phase in ENDED]
    return "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    import sys

    sys.stdout.write(draw())
