"""Which workloads a person means: by id, name, pattern or label."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from parkade.client import Client
    from parkade.wire import workloads as wire

IDS = re.compile("w[0-9]+")
PATTERN = re.compile(r"[*?[]")
MOST_LISTED = 11
PAGE = 1000
Id = Annotated[str, typer.Argument(help="Its id, such as w12, or its name.", metavar="WORKLOAD")]
Ids = Annotated[
    list[str] | None,
    typer.Argument(
        help="Ids, names, or patterns such as 'train-*' for all that live.", metavar="WORKLOAD..."
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
    from parkade.wire.problems import problem

    if IDS.fullmatch(text):
        return text
    found = client.list_workloads(name=text, limit=MOST_LISTED).workloads
    found = found or client.list_workloads(name=text, all=True, limit=MOST_LISTED).workloads
    if not found:
        raise NotFound(problem("not_found", f"there is no workload {text}"))
    if len(found) > 1:
        ids = ", ".join(each.workload for each in found[: MOST_LISTED - 1])
        more = "" if len(found) < MOST_LISTED else ", …"
        detail = f"several workloads are named {text}: {ids}{more}; name one by its id"
        raise Invalid(problem("invalid", detail))
    return found[0].workload


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
        if labels or PATTERN.search(text):
            filters = {"name": text, "labels": labels or (), "all": ended}
            several = [each.workload for each in pages(client, **filters)]
        else:
            several = [meant(client, text)]
        if not several:
            words = (f"is {text}" if names else "", f"has {', '.join(labels)}" if labels else "")
            what = "workload" if ended else "living workload"
            says = f"no {what} {' and '.join(filter(None, words))}"
            raise NotFound(problem("not_found", says))
        found |= dict.fromkeys(several)
    return list(found)


def pages(client: "Client", **filters: Any) -> "Iterator[wire.Workload]":
    """All workloads that the filters of `list_workloads` leave, page by page."""
    after = None
    while True:
        page = client.list_workloads(limit=PAGE, after=after, **filters)
        yield from page.workloads
        after = page.next
        if after is None:
            return
