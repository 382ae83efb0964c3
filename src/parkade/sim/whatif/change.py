"""Other terms for a journal's marketplace, and what they make of each of its commands.

`TERM=VALUE` for a term of a market (`notice=5m`, `fee=1/5`, `credit=1/10`) or a price
(`public_floor=1.50`), in all markets. `floor=VALUE` and `keep=N` or `keep=N%` for what owners
lend, `floor.RESERVATION=VALUE` for one of them; an owner that does not lend does not begin to.
`nodes=+N` and `nodes=-N` for the first fabric, `nodes.FABRIC=+N` for another. A change holds from
the opening of the market to the end, also where operators changed that term later.
"""

import re
from collections.abc import Iterable
from decimal import Decimal

import msgspec
from msgspec.structs import replace
from pydantic import ValidationError

from parkade.api.translate.scalars import micros
from parkade.api.translate.terms import change_terms
from parkade.core.state import commands
from parkade.core.state.world import World
from parkade.wire import pools as wire
from parkade.wire.scalars import parse_amount

WORDS = {"credit": "switching_credit"}
PRICES = ("pay_as_you_go", "reservation_rate", "public_floor")
_KEEP = re.compile(r"([0-9]{1,6})(%?)")
_NODES = re.compile(r"([+-])([0-9]{1,5})")
MOST_PERCENT = 100


class BadChange(ValueError):
    """A change cannot be read; the message says which one and how to write it."""


class Keep(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes that are not lent: a number, or percent of the reservation's to the nearest node."""

    number: int
    is_percent: bool

    def of(self, nodes: int) -> int:
        """Of a reservation of so many nodes."""
        wanted = round(nodes * self.number / MOST_PERCENT) if self.is_percent else self.number
        return min(nodes, wanted)


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What is other than in the journal; `floors` and `keeps` by reservation, `nodes` by fabric,
    under "" what holds for the rest."""

    terms: commands.TermsChange
    prices: dict[str, int]
    floors: dict[str, int]
    keeps: dict[str, Keep]
    nodes: dict[str, int]
    words: tuple[str, ...]
    """As they were given."""

    @property
    def is_none(self) -> bool:
        """Whether all is as in the journal."""
        return not self.words


def parse_change(words: Iterable[str]) -> Change:
    """Changes of the form KEY=VALUE; BadChange for anything else."""
    given = tuple(words)
    terms: dict[str, str | None] = {}
    prices: dict[str, int] = {}
    floors: dict[str, int] = {}
    keeps: dict[str, Keep] = {}
    nodes: dict[str, int] = {}
    for word in given:
        key, sign, value = word.partition("=")
        if not sign or not value:
            raise BadChange(f"{word[:60]!r} is no change; write KEY=VALUE, such as notice=5m")
        key, _, place = key.partition(".")
        key = WORDS.get(key, key)
        if key in PRICES and not place:
            prices[key] = _price(word, value)
        elif key == "floor":
            floors[place] = _price(word, value)
        elif key == "keep":
            keeps[place] = _keep(word, value)
        elif key == "nodes":
            nodes[place] = _nodes(word, value)
        elif key in wire.ChangeTerms.model_fields and key not in ("from_", "buffer") and not place:
            terms[key] = None if value == "none" else value
        else:
            raise BadChange(f"{word[:60]!r} names no term; {_known()}")
    return Change(
        terms=_terms(terms), prices=prices, floors=floors, keeps=keeps, nodes=nodes, words=given
    )


def _known() -> str:
    names = sorted({*wire.ChangeTerms.model_fields, *WORDS, *PRICES} - {"from_", "buffer"})
    return f"there are {', '.join(names)}, floor, keep and nodes"


def _price(word: str, value: str) -> int:
    try:
        amount = parse_amount(value)
    except ValueError as error:
        raise BadChange(f"{word[:60]}: {error}") from None
    if amount < Decimal(0):
        raise BadChange(f"{word[:60]}: a price is not below 0")
    return micros(amount)


def _keep(word: str, value: str) -> Keep:
    found = _KEEP.fullmatch(value)
    is_percent = found is not None and bool(found[2])
    if found is None or (is_percent and int(found[1]) > MOST_PERCENT):
        raise BadChange(f"{word[:60]}: keep is nodes, such as 2, or percent, such as 5%")
    return Keep(number=int(found[1]), is_percent=is_percent)


def _nodes(word: str, value: str) -> int:
    found = _NODES.fullmatch(value)
    if found is None:
        raise BadChange(f"{word[:60]}: write how many more or fewer, such as +4 or -4")
    return int(found[1] + found[2])


def _terms(given: dict[str, str | None]) -> commands.TermsChange:
    values: dict[str, object] = dict(given)
    if "shared_nodes" in values:
        if given["shared_nodes"] not in ("true", "false"):
            raise BadChange("shared_nodes is true or false")
        values["shared_nodes"] = given["shared_nodes"] == "true"
    nodes = given.get("buffer_nodes")
    if nodes is not None and nodes.isdigit():
        values["buffer_nodes"] = int(nodes)
    try:
        body = wire.ChangeTerms.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise BadChange(f"{first['loc'][0]}: {first['msg'][:200]}") from None
    return change_terms(body, by="", market="").change


class Changed:
    """Commands as they would be under the change; it remembers which fabrics it has altered."""

    def __init__(self, change: Change) -> None:
        self._change = change
        self._fabrics: set[str] = set()

    def command(self, world: World, command: commands.AnyCommand) -> commands.AnyCommand | None:
        """The command; None where nothing of it is left."""
        match command:
            case commands.OpenPool() | commands.AddNodes():
                return replace(command, supply=self._supply(command.supply))
            case commands.ChangeTerms(change=change):
                other = self._change.terms.given
                left = {field: it for field, it in change.given.items() if field not in other}
                return replace(command, change=commands.TermsChange.to(left)) if left else None
            case commands.SetPrices():
                prices = {f"{price}_micros": it for price, it in self._change.prices.items()}
                return replace(command, **prices)
            case commands.Lend(reservation=name) if command.floor_micros is not None:
                return self._lend(world, command, name)
            case _:
                return command

    def _lend(self, world: World, command: commands.Lend, name: str) -> commands.Lend:
        floors, keeps = self._change.floors, self._change.keeps
        floor = floors.get(name, floors.get("", command.floor_micros))
        keep = keeps.get(name, keeps.get(""))
        reservation = world.records.reservations.get(name)
        if keep is None or reservation is None:
            return replace(command, floor_micros=floor)
        return replace(command, floor_micros=floor, keep=keep.of(reservation.nodes))

    def _supply(self, supply: commands.Supply) -> commands.Supply:
        opens = supply.opens
        if opens is not None:
            given = self._change.terms.given
            given |= {f"{price}_micros": it for price, it in self._change.prices.items()}
            opens = replace(opens, terms=replace(opens.terms, **given))
        fabrics = tuple((fabric, self._nodes(fabric, names)) for fabric, names in supply.fabrics)
        return replace(supply, opens=opens, fabrics=fabrics)

    def _nodes(self, fabric: str, names: tuple[str, ...]) -> tuple[str, ...]:
        key = fabric if fabric in self._change.nodes else ""
        more = self._change.nodes.get(key, 0)
        if not more or key in self._fabrics:
            return names
        self._fabrics.add(key)
        if more < 0:
            return names[: max(1, len(names) + more)]
        return (*names, *(f"what-if-{number}" for number in range(1, more + 1)))
