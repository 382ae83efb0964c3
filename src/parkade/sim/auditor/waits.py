"""What the auditor of owners knows of one demand: what it waits for, has, and loses."""

from dataclasses import dataclass, field


@dataclass
class Wait:
    """What an owner's demand waits for."""

    asked_us: int
    promised_us: int | None = None
    """When it was first promised seats for its present turn; None before."""

    chosen_us: dict[str, int] = field(default_factory=dict)
    """By node of its present seats: when it was chosen."""

    is_held: bool = False
    is_paused: bool = False
    """Its user or what it depends on keeps it from starting: it waits for no seats."""

    why: str = "next_clearing"
    market: str = ""
    reservation: str = ""
    own_shape: tuple[tuple[str, int], ...] = ()
    """Of its reservation; empty where that is not known."""

    is_excused: bool = False
    """Whether a node of its present seats was not well meanwhile."""

    replacing_us: dict[str, int] = field(default_factory=dict)
    """By node that is promised in place of a lost one: when it was chosen, as long as it is
    well."""


@dataclass(frozen=True)
class Lost:
    """Seats that a demand had, and that a clearing takes back or exchanges."""

    name: str
    nodes: frozenset[str]
    lost: tuple[str, ...]
    was_held: bool


def lost_by(name: str, wait: Wait, nodes: set[str]) -> list[Lost]:
    """What a demand that had seats loses of them, if anything, where it has `nodes` from now on."""
    lost = tuple(sorted(wait.chosen_us.keys() - nodes))
    return [Lost(name, frozenset(wait.chosen_us), lost, wait.is_held)] if lost else []
