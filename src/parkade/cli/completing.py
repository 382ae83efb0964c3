"""Completion of values in a shell: names of things from the server, and words that are fixed.

A shell asks while a person waits for a key: so the server has `WITHIN_S` to answer, an answer is
kept for `KEPT_S` in a file that only its user reads, and whatever goes wrong completes nothing and
says nothing. What a value is follows from the name of its argument or option, for all commands.
"""

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

ASKED_BY = "_PARKADE_COMPLETE"
"""The variable by which a shell's script asks for completions."""
WITHIN_S = 1.0
KEPT_S = 10.0
MOST = 1000


class Item(NamedTuple):
    """A value as the shell's script prints it; `type` as click's own items have it."""

    value: str
    help: str | None = None
    type: str = "plain"


class Source(NamedTuple):
    """A list of the server. `values`: the fields that name one; `says`: what is shown beside;
    `chosen`: parameters beside `limit`. `prefix`: what stands before each value; the server is
    asked once it was begun."""

    path: str
    field: str
    values: tuple[str, ...]
    says: tuple[str, ...] = ()
    chosen: tuple[tuple[str, str], ...] = ()
    prefix: str = ""

    def is_begun(self, begun: str) -> bool:
        """Whether one of its values may be meant."""
        first = begun[: len(self.prefix)]
        return not self.prefix or (first != "" and self.prefix.startswith(first))


_MARKETS = "/pools", "markets"
_RESERVATIONS = Source("/reservations", "reservations", ("reservation",), ("market", "state"))
SOURCES = {
    "account": Source("/accounts", "accounts", ("account",), ("balance",)),
    "capacity": _RESERVATIONS._replace(prefix="reservation/"),
    "claim": Source("/claims", "claims", ("claim",), ("reservation",)),
    "incident": Source("/mars/incidents", "incidents", ("incident",), ("node", "signal")),
    "instance_type": Source(*_MARKETS, ("instance_type.name",), ("market",)),
    "labels": Source("/workloads", "workloads", ("spec.labels",), chosen=(("all", "true"),)),
    "market": Source(*_MARKETS, ("market",), ("site",)),
    "node": Source("/nodes", "nodes", ("node",), ("health",)),
    "org": Source("/orgs", "orgs", ("org",), ("balance",)),
    "pool": Source("/pools", "pools", ("pool",), ("engine",)),
    "receiver": Source("/receivers", "receivers", ("receiver",), ("address",)),
    "reservation": _RESERVATIONS,
    "token": Source("/tokens", "tokens", ("token",), ("user",)),
    "user": Source("/users", "users", ("user",), ("role",)),
    "window": Source("/maintenance", "maintenance", ("maintenance",), ("start",)),
    "workload": Source("/workloads", "workloads", ("workload", "name"), ("name", "phase")),
    "ended_workload": Source(
        "/workloads", "workloads", ("workload", "name"), ("name", "phase"), (("all", "true"),)
    ),
}
SAME = dict.fromkeys(("workloads", "after_ok", "after_not_ok", "after_any"), "workload")
"""Other names of arguments and options whose values these are."""

LISTS = dict.fromkeys(("submit", "run", "plan"), ("capacity", "instance_type"))
"""By command, options that take several values with commas between."""

OF_COMMANDS: dict[str, dict[str, str]] = {
    **{it: {"workload": "ended_workload"} for it in ("show", "status", "why", "logs", "resubmit")},
    **{it: {"after": "workload"} for it in ("submit", "run", "plan")},
    "wait": {"workloads": "ended_workload"},
    "ps": {"name": "workload", "array": "workload"},
    "history": {"name": "ended_workload"},
    "user unix-name": {"name": ""},
    "org create": {"org": ""},
    "user create": {"user": ""},
    "agent join": {"pool": ""},
    "agent run": {"pool": ""},
    "mars undo": {"node": ""},
    "mars scan": {"node": ""},
}
"""What differs in a command: the source of a parameter, empty: none."""


def attach(program: Any) -> None:
    """Gives each argument and option of the program that has known values its completion."""
    fixed = _fixed()
    for words, command in _commands(program, ()):
        whole = " ".join(words)
        others, lists = OF_COMMANDS.get(whole, {}), LISTS.get(whole, ())
        for parameter in command.params:
            name = parameter.name
            source = SOURCES.get(others.get(name, SAME.get(name, name)))
            words_of_it = fixed.get(name, ())
            if words_of_it or source is not None:
                is_list = name in lists
                parameter.shell_complete = _completion(source, words_of_it, is_list=is_list)


def _commands(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, each in getattr(command, "commands", {}).items():
        yield from _commands(each, (*words, name))
    if not hasattr(command, "commands"):
        yield words, command


def _fixed() -> dict[str, tuple[str, ...]]:
    """The words that a parameter takes, whatever the server has."""
    from typing import get_args

    from parkade.cli.listing import ENDED, LIVING, ORDERS
    from parkade.wire import people, spec

    return {
        "about": get_args(people.About),
        "capacity": ("spot", "on-demand"),
        "checkpoint": (*get_args(spec.Preset), *get_args(spec.Signal)),
        "checkpoint_signal": get_args(spec.Signal),
        "checkpoint_exit_zero": ("saved", "done"),
        "interconnect": ("fabric", "any"),
        "moves": ("needed", "cheaper"),
        "per": get_args(people.CapPeriod),
        "phases": (*LIVING, *ENDED),
        "role": get_args(people.Role),
        "sort": (*ORDERS, *(f"-{it}" for it in ORDERS)),
    }


def _completion(
    source: Source | None, fixed: tuple[str, ...], *, is_list: bool
) -> Callable[[Any, str], list[Item]]:
    def complete(_context: Any, begun: str) -> list[Item]:
        before, comma, last = begun.rpartition(",") if is_list else ("", "", begun)
        named = {it.partition("=")[0] for it in before.split(",")}
        return [
            it._replace(value=f"{before}{comma}{it.value}")
            for it in values(last)
            if it.value.startswith(last) and it.value not in named
        ]

    def values(begun: str) -> list[Item]:
        items = [Item(it) for it in fixed]
        if source is not None and source.is_begun(begun):
            items += _named(source, _asked(source))
        return items

    return complete


def _named(source: Source, answer: Any) -> list[Item]:
    """The values of an answer, each once: a name that several have is none."""
    records = answer.get(source.field, ()) if isinstance(answer, dict) else ()
    found: dict[str, Item] = {}
    several = set()
    for record in records:
        says = " ".join(str(_of(record, it)) for it in source.says if _of(record, it) is not None)
        for name in (it for value in source.values for it in _texts(_of(record, value))):
            if name in found:
                several.add(name)
            found[name] = Item(source.prefix + name, says or None)
    is_by_name = len(source.values) > 1
    return [it for name, it in found.items() if not (is_by_name and name in several)]


def _texts(value: Any) -> list[str]:
    """A name, or the pairs of labels."""
    if isinstance(value, dict):
        return [f"{key}={it}" for key, it in value.items()]
    return [value] if isinstance(value, str) and value else []


def _of(record: Any, field: str) -> Any:
    for part in field.split("."):
        record = record.get(part) if isinstance(record, dict) else None
    return record


def _asked(source: Source) -> Any:
    """What the server answers within the time, or answered a moment ago; None where it does not."""
    import httpx  # noqa: F401 - loaded before the time begins to count

    answers: list[Any] = []

    def ask() -> None:
        try:
            answers.append(_kept_or_new(source))
        except Exception:  # noqa: BLE001 - a shell's line is no place for errors
            return

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(WITHIN_S)
    return answers[0] if answers else None


def _kept_or_new(source: Source) -> Any:
    from parkade.cli import config

    settings = config.load()
    if settings.token is None:
        return None
    whole = f"{settings.server}\n{settings.token}\n{source.path}\n{source.chosen}"
    digest = hashlib.sha256(whole.encode()).hexdigest()
    file = _folder() / f"{digest[:24]}.json"
    try:
        if 0 <= time.time() - file.stat().st_mtime < KEPT_S:
            return json.loads(file.read_bytes())
    except OSError:
        pass
    content = _fetched(settings.server, settings.token, source)
    _keep(file, content)
    return json.loads(content)


def _fetched(servers: str, token: str, source: Source) -> bytes:
    """Of the first server that answers with 200."""
    import httpx

    most: dict[str, str] = {} if source.path == "/receivers" else {"limit": str(MOST)}
    for server in servers.split(","):
        try:
            answer = httpx.get(
                f"{server.strip()}/v1{source.path}",
                params={**most, **dict(source.chosen)},
                headers={"Authorization": f"Bearer {token}"},
                timeout=WITHIN_S,
            )
        except httpx.HTTPError:
            continue
        if answer.status_code == httpx.codes.OK:
            return answer.content
    raise LookupError(source.path)


def _folder() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("parkade") / "completion"


def _keep(file: Path, content: bytes) -> None:
    """Keeps an answer, and forgets older ones; a cache that cannot be written is none."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for other in file.parent.glob("*.json"):
            if time.time() - other.stat().st_mtime > KEPT_S:
                other.unlink(missing_ok=True)
        new = file.with_suffix(f".{os.getpid()}")
        descriptor = os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(content)
        new.replace(file)
    except OSError:
        return
