"""Pages of lists: at most so many at once, in the order of their names, and where the next begins.

A cursor is the name of the last one on the page. It stays good whatever comes and goes meanwhile,
since the order is of names and not of places: what is there from the first page to the last is on
exactly one of them.
"""

import heapq
import re
from collections.abc import Callable, Iterable
from typing import Annotated, Any, NamedTuple, TypeVar

from fastapi import Depends, Query

T = TypeVar("T")
MOST = 1000
LONGEST_CURSOR = 200
_NUMBER = re.compile(r"([0-9]+)")


class Page(NamedTuple):
    """What is asked for. `limit` None: all, for views inside the server. `cursor`: the `next` of
    the page before; None: from the beginning."""

    limit: int | None
    cursor: str | None


WHOLE = Page(None, None)


def asked(
    limit: Annotated[int, Query(ge=1, le=MOST, description="at most so many")] = MOST,
    cursor: Annotated[
        str | None,
        Query(min_length=1, max_length=LONGEST_CURSOR, description="`next` of the page before"),
    ] = None,
) -> Page:
    """The page that a request asks for."""
    return Page(limit, cursor)


Paged = Annotated[Page, Depends(asked)]


def natural(name: str) -> tuple[tuple[str | int, ...], str]:
    """The order of names in which node-2 stands before node-10. Words and numbers alternate, so
    that like is compared with like."""
    parts = _NUMBER.split(name)
    return tuple(int(it) if at % 2 else it for at, it in enumerate(parts)), name


def page_of(
    page: Page,
    found: Iterable[T],
    name: Callable[[T], str],
    *,
    order: Callable[[str], Any] = natural,
    is_falling: bool = False,
) -> tuple[list[T], str | None]:
    """(those on the page, `next` where more follow). Grows with all that are found, once."""
    if page.limit is None:
        return list(found), None
    after = None if page.cursor is None else order(page.cursor)

    def follows(key: Any) -> bool:
        return after is None or (key < after if is_falling else key > after)

    keyed = ((order(name(it)), it) for it in found)
    choose = heapq.nlargest if is_falling else heapq.nsmallest
    several = choose(
        page.limit + 1, ((key, it) for key, it in keyed if follows(key)), key=lambda pair: pair[0]
    )
    shown = [it for _, it in several[: page.limit]]
    return shown, name(shown[-1]) if len(several) > page.limit else None
