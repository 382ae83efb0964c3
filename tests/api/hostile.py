"""Requests that no client of ours would send, made from good ones by a seed.

Each is a good request of some route with one thing changed: a value of its body, a key, its bytes,
a name in its path, its query or a header. Nothing here says what is right: `test_hostile_seeds.py`
says what must hold of every answer.
"""

import copy
import json
import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import quote

from tests.api.roles import QUERIES

VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63) - 1, 10**39, 1.5, -0.0, 1e308,
    "", " ", "a", "0", "-1", "1e9", "1" * 4_999, "9" * 12 + ".999999", "-0.000001", "0x10",
    "NaN", "\x00", "a\x00b", "\ud800", "a\udfffb", "\u202e\u2066", "\ufeff", "\uff4e\uff11",
    "\u0130", "é" * 300, "\U0001f600" * 2_000, "x" * 70_000, "../../etc/passwd", "%00", "';--",
    "{{7*7}}", "\r\nX: y", "999999999d", "0s", "-1s", "1ms", "36501d", "9999-12-31T23:59:59Z",
    "0001-01-01T00:00:00+23:59",
    "2026-11-27T10:00:00.1234567890123Z", "1/0", "0/1", "999999999/1", "-1/2", "1/2/3",
    [], {}, [[]], [None], {"": 0}, {"\x00": "\x00"}, [0] * 5_000, {"a": {"b": {"c": [1, "2"]}}},
)  # fmt: skip
KEYS = ("", "\x00", "__class__", "by", "org", "nodes", "é", "x" * 5_000, "\ud800")
NAMES = (
    "", ".", "..", "%2e%2e", "a/b", "a%2Fb", "\x00", "\ud7ff", "w1.1", "w0", "w" + "9" * 300, "@",
    "a@b@c", "*", "' OR 1=1", "é", "x" * 3_000, "?", "#", "incident-", "org/acme",
)  # fmt: skip
HEADERS: tuple[dict[str, str], ...] = (
    {"Content-Type": "text/plain"}, {"Content-Type": "multipart/form-data; boundary=x"},
    {"Content-Type": "application/json; charset=utf-16"}, {"Accept": "text/html;q=0.1, */*"},
    {"Idempotency-Key": "k" * 255}, {"Idempotency-Key": "k" * 256}, {"Idempotency-Key": ""},
    {"Idempotency-Key": "\xff\xfe"}, {"Last-Event-ID": "9" * 5_000}, {"Parkade-Agent": "zz /x"},
    {"Parkade-Agent": "ab %ff%00"}, {"Content-Encoding": "gzip"}, {"Expect": "100-continue"},
    {"X-HTTP-Method-Override": "DELETE"}, {"Range": "bytes=0-1"}, {"Host": "localhost:99999"},
)  # fmt: skip


class Sent(NamedTuple):
    """One request; `content` is None where it has no body."""

    method: str
    url: str
    headers: dict[str, str]
    content: bytes | None


def places(body: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where a body has values, itself first."""
    yield path
    if isinstance(body, dict | list):
        for key, inner in body.items() if isinstance(body, dict) else enumerate(body):
            yield from places(inner, (*path, key))


def changed(body: Any, chance: random.Random) -> Any:
    """The body with another value at one place, or a key more or less."""
    made = copy.deepcopy(body) or {"x": 0}
    *path, last = chance.choice([each for each in places(made) if each])
    inside = made
    for key in path:
        inside = inside[key]
    match chance.randrange(6):
        case 0 if isinstance(inside, dict):
            inside[chance.choice(KEYS)] = chance.choice(VALUES)
        case 1:
            del inside[last]
        case _:
            inside[last] = chance.choice(VALUES)
    return made


def torn(text: bytes, chance: random.Random) -> bytes:
    """The bytes with some of them wrong, gone, doubled or swollen."""
    at = chance.randrange(len(text) + 1)
    match chance.randrange(7):
        case 0:
            return text[:at]
        case 1:
            return text[:at] + chance.randbytes(3) + text[at:]
        case 2:
            return text[:at] + text[max(0, at - 9) :]
        case 3:
            depth = chance.choice((50, 900, 20_000))
            return b'{"a":' * depth + b"1" + b"}" * depth
        case 4:
            return text[:-1] + b',"' + b"k" * at + b'":' + b"9" * 4_999 + b"}"
        case 5:
            return text[:1] + text[1:-1] + b"," + text[1:-1] + text[-1:]
        case _:
            return text.decode(errors="replace").encode(
                chance.choice(("utf-16", "utf-32", "utf-7"))
            )


def request(
    route: str, names: dict[str, str], body: Callable[[], Any], chance: random.Random
) -> Sent:
    """A good request of the route with one thing changed, two now and then."""
    method, path = route.split()
    headers = {"Content-Type": "application/json"}
    query = dict(QUERIES.get(route, {}))
    content = json.dumps(body() or {}).encode() if method == "POST" else None
    for _ in range(chance.choice((1, 1, 2))):
        match chance.randrange(9):
            case 0:
                names = {**names, chance.choice(list(names)): chance.choice(NAMES)}
            case 1:
                known = ("after", "wait", "limit", "rank", "offset", "account", "org", "phase")
                value = chance.choice([*NAMES, *map(str, VALUES[:24])])
                query[chance.choice((*known, "x", ""))] = value[:20_000]
            case 2:
                headers |= chance.choice(HEADERS)
            case 3 if content is not None:
                content = torn(content, chance)
            case _ if content is not None:
                content = json.dumps(changed(body() or {}, chance)).encode()
            case _:
                headers |= chance.choice(HEADERS)
    url = path.format(**{key: quote(name, safe="%") for key, name in names.items()})
    said = "&".join(f"{quote(key)}={_quoted(value)}" for key, value in query.items())
    return Sent(method, f"{url}?{said}" if said else url, headers, content)


def _quoted(value: str) -> str:
    return quote(value.encode("utf-8", "surrogatepass"))
