"""What a `mars run` file must hold beyond the form of each value: checked on what was written, so
that all faults are told at once, also beside faults of form.

Each fault has the place at which a person mends it. A program that is not there is a fault only
where it would be started on a node's behalf, with `act: true`.
"""

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import urlsplit

from parkade.core.units.phrases import some_of
from parkade.wire.problems import Fault

NEEDED = (("set", "{node}"), ("set", "{reason}"), ("reason", "{node}"), ("undo", "{node}"))
"""What the words of a drain's commands must hold; without it another node, or none that Mars would
know again, is drained."""
COMMANDS = ("set", "reason", "undo", "count")
REPLACED = ("node", "reason")
MOST_PORT = 65_535
MOST_NAMED = 5
READERS = ("kernel_log", "dcgm", "local")
_MARK = re.compile(r"\{([A-Za-z_]{1,20})\}")


def program_from(program: str, folder: Path) -> str:
    """Where a command's first word is looked for: with a `/` from the folder, as a path is, also
    where that is `.`; else in PATH."""
    return str((folder / program).absolute()) if "/" in program else program


def run_faults(written: Mapping[str, object], folder: Path) -> Iterator[Fault]:
    """Every fault of a file's keys and values, in their order; programs with a `/` are looked for
    from `folder`."""
    listen = written.get("listen")
    port = listen.rpartition(":")[2] if isinstance(listen, str) else ""
    if port.isdecimal() and int(port) > MOST_PORT:
        yield Fault(place="listen", message=f"a port is at most {MOST_PORT}")
    yield from _of_url("alertmanager", written.get("alertmanager"))
    yield from _of_nodes(written)
    drain = written.get("drain")
    acts = written.get("act") is True
    if isinstance(drain, dict):
        yield from _of_drain(drain)
        if acts:
            yield from _of_programs(drain, folder)
    for key in ("drain", "journal"):
        if acts and written.get(key) is None:
            yield Fault(place=key, message="is missing: `act: true` needs `drain` and `journal`")


def _of_nodes(written: Mapping[str, object]) -> Iterator[Fault]:
    nodes = written.get("nodes")
    if not isinstance(nodes, list):
        return
    if not nodes:
        yield Fault(place="nodes", message="`nodes` is empty; name a node")
    first: dict[object, int] = {}
    local: int | None = None
    blind: list[str] = []
    for at, entry in enumerate(nodes):
        if not isinstance(entry, dict):
            continue
        place, name = f"nodes[{at}]", entry.get("node")
        if isinstance(name, str) and first.setdefault(name, at) != at:
            message = f"{name} stands twice in `nodes`, first as nodes[{first[name]}]"
            yield Fault(place=f"{place}.node", message=message)
        if entry.get("local") is True:
            if local is not None:
                message = f"only one node of `nodes` can be this machine, and nodes[{local}] is"
                yield Fault(place=f"{place}.local", message=message)
            local = at if local is None else local
        if entry.get("host") and entry.get("kernel_log") is None:
            message = "`host` says whose lines of `kernel_log` are taken; name that too"
            yield Fault(place=f"{place}.host", message=message)
        yield from _of_url(f"{place}.dcgm", entry.get("dcgm"))
        if not any(entry.get(key) for key in READERS):
            blind.append(str(name))
    yield from _of_hosts(nodes)
    if blind and written.get("engine") is None:
        message = (
            f"nothing reads {some_of(blind, MOST_NAMED)}: give each `kernel_log`, `dcgm`"
            " or `local: true`, or the file an `engine`"
        )
        yield Fault(place="nodes", message=message)


def _of_hosts(nodes: Sequence[object]) -> Iterator[Fault]:
    """Two nodes of one log under one name: each line of it would be blamed on both."""
    owners: dict[tuple[object, str], int] = {}
    for at, entry in enumerate(nodes):
        if not isinstance(entry, dict) or entry.get("kernel_log") is None:
            continue
        log = str(entry["kernel_log"])
        for name in _names_of(entry):
            first, _, rest = name.partition(".")
            # A short name is also that of the full ones that begin with it (`hosts.Hosts`).
            asked, kept = {name, first}, {name}
            if rest:
                kept.add(f"{first}.")
            else:
                asked.add(f"{first}.")
            if first.isdecimal():
                asked = kept = {name}
            other = min((owners[log, it] for it in asked if (log, it) in owners), default=at)
            if other != at:
                message = f"{name} is nodes[{other}] in this log too; give each node its own names"
                yield Fault(place=f"nodes[{at}].host", message=message)
            for it in kept:
                owners.setdefault((log, it), at)


def _names_of(entry: Mapping[object, object]) -> Iterator[str]:
    given = entry.get("host") or entry.get("node")
    for name in given if isinstance(given, list) else (given,):
        if isinstance(name, str) and name:
            yield name.lower().rstrip(".")


def _of_drain(drain: Mapping[object, object]) -> Iterator[Fault]:
    for key, other in (("count", "most"), ("most", "count")):
        if drain.get(key) is not None and drain.get(other) is None:
            yield Fault(place=f"drain.{other}", message="`count` and `most` belong together")
    for key in COMMANDS:
        words = _words(drain.get(key))
        for mark in dict.fromkeys(mark for word in words for mark in _MARK.findall(word)):
            close = get_close_matches(mark.lower(), REPLACED, n=1)
            if mark not in REPLACED and close:
                message = f"`{{{mark}}}` is replaced by nothing; did you mean `{{{close[0]}}}`?"
                yield Fault(place=f"drain.{key}", message=message)
    for key, mark in NEEDED:
        words = _words(drain.get(key))
        if words and not any(mark in word for word in words):
            yield Fault(place=f"drain.{key}", message=f"`{key}` needs {mark} in one of its words")


def _of_programs(drain: Mapping[object, object], folder: Path) -> Iterator[Fault]:
    for key in COMMANDS:
        program = next(iter(_words(drain.get(key))), None)
        if program is None:
            continue
        looked_for = program_from(program, folder)
        if shutil.which(looked_for) is None:
            where = "is not a program" if "/" in program else "is not a program in PATH"
            yield Fault(place=f"drain.{key}", message=f"{looked_for} {where}")


def _of_url(place: str, written: object) -> Iterator[Fault]:
    """A URL that no request could be sent to; that of Alertmanager stands without its API."""
    if not isinstance(written, str):
        return
    try:
        url = urlsplit(written)
        is_one = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        is_one = False
    if not is_one or re.search(r"\s", written):
        yield Fault(place=place, message="write a URL such as http://127.0.0.1:9093")
    elif place == "alertmanager" and "/api/" in url.path:
        message = "write the address alone; Mars adds `/api/v2/alerts`"
        yield Fault(place=place, message=message)


def _words(command: object) -> list[str]:
    """A command's words, where it has the form of one."""
    if isinstance(command, list) and all(isinstance(word, str) for word in command):
        return list(command)
    return []
