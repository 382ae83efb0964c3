"""Reads Slurm's short form of node names: `n[1-3,07],gpu5` is n1, n2, n3, n07 and gpu5."""

import re

MOST_NAMES = 100_000
PARTS = re.compile(r"[^,\[\]]+(?:\[[^\]]*\][^,\[\]]*)*")
BRACKET = re.compile(r"\[([^\]]*)\]")


def is_whole(short: str) -> bool:
    """Whether each bracket is closed."""
    return re.fullmatch(r"[^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*", short) is not None


def expand(short: str) -> tuple[str, ...]:
    """All names in order; of more than `MOST_NAMES` the first ones. Cost grows with the names."""
    found: list[str] = []
    if short in ("", "(null)"):
        return ()
    for part in PARTS.findall(short):
        found += _of(part)
        if len(found) >= MOST_NAMES:
            break
    return tuple(found[:MOST_NAMES])


def _of(part: str) -> list[str]:
    bracket = BRACKET.search(part)
    if bracket is None:
        return [part]
    before, after = part[: bracket.start()], part[bracket.end() :]
    numbers: list[str] = []
    for span in bracket[1].split(","):
        first, _, last = span.partition("-")
        if not first.isdigit() or (last and not last.isdigit()):
            continue
        end = min(int(last or first), int(first) + MOST_NAMES)
        numbers += [str(number).zfill(len(first)) for number in range(int(first), end + 1)]
    return [name for number in numbers[:MOST_NAMES] for name in _of(f"{before}{number}{after}")]
