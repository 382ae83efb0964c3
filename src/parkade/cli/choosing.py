"""Which workloads a person means: by id, name, pattern or label."""

import re
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from parkade.client import Client
    from parkade.core.units.indexes import Spans
    from parkade.wire import workloads as wire
    from parkade.wire.problems import Problem

IDS = re.compile("w[0-9]+(_[0-9]+)?")
LIKE_AN_ID = re.compile("w[0-9*?[]")
ATTEMPT = re.compile(r"(w[0-9]+(?:_[0-9]+)?)\.([0-9]+)")
SOME = re.compile(r"(?P<array>[^][]+)\[(?P<members>[0-9][0-9,:-]*)\]")
PATTERN = re.compile(r"[*?[]")
MOST_LISTED = 11
MOST_SHOWN = 10
Id = Annotated[str, typer.Argument(help="Its id, such as w12, or its name.", metavar="WORKLOAD")]
Ids = Annotated[
    list[str] | None,
    typer.Argument(
        help="Ids, names, patterns such as 'train-*' for all that live, or members of an array:"
        " 'train[3,7-9]'.",
        metavar="WORKLOAD...",
    ),
]
Labels = Annotated[
    list[str] | None, typer.Option("--label", help="All that have KEY or KEY=VALUE and live.")
]


def meant(client: "Client", text: str) -> str:
    """The id of a workload that is named by its id or its name. NotFound where there is none of
    that name, Invalid where several could be meant. One that lives comes before those that ended.
    """
    from parkade.client.errors import Invalid, NotFound
    from parkade.core.units.indexes import indexes
    from parkade.wire.problems import problem

    if IDS.fullmatch(text):
        return text
    some = members_meant(client, text)
    if some is not None:
        array, members = some
        named = list(indexes(spans(members)))
        if len(named) == 1:
            return f"{array}_{named[0]}"
        raise Invalid(problem("invalid", f"{text} names {len(named)} members; name one"))
    found = _named(client, text)
    if not found:
        says = f"there is no workload {text}"
        if attempt := ATTEMPT.fullmatch(text):
            says += f"; give an attempt beside its workload: {attempt[1]} --attempt {attempt[2]}"
        raise NotFound(problem("not_found", says))
    if len(found) > 1:
        ids = ", ".join(each.workload for each in found[: MOST_LISTED - 1])
        more = "" if len(found) < MOST_LISTED else ", …"
        detail = f"several workloads are named {text}: {ids}{more}; name one by its id"
        raise Invalid(problem("invalid", detail))
    return found[0].workload


def spans(members: str) -> "Spans":
    """The indexes between the brackets; Invalid where they are none."""
    from parkade.client.errors import Invalid
    from parkade.core.units.indexes import parse_indexes
    from parkade.wire.problems import problem

    try:
        return parse_indexes(members)
    except ValueError as error:
        raise Invalid(problem("invalid", f"[{members[:40]}]: {error}")) from None


def members_meant(client: "Client", text: str) -> tuple[str, str] | None:
    """(id of an array, members) of `train[3,7-9]`; None where it is a pattern, or something else.
    NAME[12] is a pattern unless a workload that is an array has just that name."""
    found = SOME.fullmatch(text)
    if found is None:
        return None
    array, members = found["array"], found["members"]
    if IDS.fullmatch(array):
        return array, members
    if PATTERN.search(array):
        return None
    arrays = [it.workload for it in _named(client, array) if it.members is not None]
    return (arrays[0], members) if len(arrays) == 1 else None


def _named(client: "Client", name: str) -> "tuple[wire.Workload, ...]":
    """The workloads of a name: the live ones, else those that ended."""
    found = client.list_workloads(name=name, limit=MOST_LISTED).workloads
    return found or client.list_workloads(name=name, all=True, limit=MOST_LISTED).workloads


def says_meant(ids: list[str]) -> str:
    """Which they are, as far as a line has room: `12 workloads: w1, w2, …`."""
    shown = ", ".join(ids[:MOST_SHOWN])
    return f"{len(ids):,} workloads: {shown}{', …' if len(ids) > MOST_SHOWN else ''}"


def chosen_members(
    client: "Client", names: list[str] | None, labels: list[str] | None, refusals: "list[Problem]"
) -> list[tuple[str, str | None]]:
    """(id, members) of all that are meant: those of an array that a word names, None: all of it. A
    word that means none is one of `refusals`, and hides no other."""
    from parkade.client.errors import Invalid, NotFound

    found: dict[tuple[str, str | None], None] = {}
    words: list[str | None] = [*names] if names else [None]
    for text in words:
        some = None if labels or text is None else members_meant(client, text)
        try:
            one = None if text is None else [text]
            several = [some] if some else [(it, None) for it in chosen(client, one, labels)]
        except (Invalid, NotFound) as error:
            refusals.append(error.problem)
        else:
            found |= dict.fromkeys(several)
    return list(found)


def chosen(
    client: "Client", names: list[str] | None, labels: list[str] | None, *, ended: bool = False
) -> list[str]:
    """The ids of all that are meant, each once, in the order of the words. A pattern means the
    living ones, and with `ended` the others too; with labels, those of the names and patterns that
    have them all. NotFound where a word means none."""
    from parkade.cli.calling import fail
    from parkade.client.errors import NotFound
    from parkade.wire.problems import problem

    if not names and not labels:
        fail("name workloads, or give --label", exit_code=2)
    found: dict[str, None] = {}
    for text in names or ["*"]:
        if labels or (PATTERN.search(text) and members_meant(client, text) is None):
            listed = client.list_workloads(name=text, labels=labels or (), all=ended)
            several = [each.workload for each in listed.workloads]
        else:
            several = [meant(client, text)]
        if not several:
            words = (f"is {text}" if names else "", f"has {', '.join(labels)}" if labels else "")
            what = "workload" if ended else "living workload"
            says = f"no {what} {' and '.join(filter(None, words))}"
            says += "; a pattern is one of names" if LIKE_AN_ID.match(text) else ""
            raise NotFound(problem("not_found", says))
        found |= dict.fromkeys(several)
    return list(found)
