"""The form of a new workload: its fields to a request, and what is wrong back to its fields.

A field that is empty is left out, so that it has the spec's default. Keys that have no field of
their own are written as YAML. What the form says is checked by the API's own models; each fault is
told beside the field that it is about, the rest above all of them.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from parkade.console import planning
from parkade.core.units import bounds
from parkade.wire.problems import MOST_FAULTS, Fault, Problem, faults
from parkade.wire.workloads import Submit
from parkade.wire.yaml import Unreadable, load

REQUEST = ("market", "org")
"""Fields of the request beside the spec."""
SPEC = (
    *("name", "command", "workdir", "nodes", "gpus", "capacity"),
    *("limit_price", "max_spend", "max_duration"),
)
PAIRS = ("env", "labels")
MORE = "more"
MOST_MORE = 10_000
MOST_LINES = bounds.ENV_ENTRIES.most
MOST_BRACKETS = 200
"""Of YAML that is read while others wait: reading 10,000 characters takes 0.1 s, and much deeper
nesting far more."""
FIELDS = (*REQUEST, *SPEC, *PAIRS, MORE)
COUNTS = frozenset({"nodes", "gpus"})
Faults = planning.Faults


def digest_of(fields: Mapping[str, str]) -> str:
    """A name for what the form says, so that a plan is known to be of it."""
    return planning.digest_of(fields, FIELDS)


def request_of(fields: Mapping[str, str]) -> tuple[Submit | None, Faults]:
    """The request, or None and every fault."""
    found: list[Fault] = []
    spec = _more(fields, found)
    for name in SPEC:
        if fields.get(name):
            spec[name] = _value(name, fields[name])
    for name in PAIRS:
        if fields.get(name):
            spec[name] = _pairs(name, fields[name], found)
    if not spec.get("workdir"):
        found.append(Fault(place="workdir", message="say where it starts, an absolute path"))
    value: dict[str, Any] = {name: fields[name] for name in REQUEST if fields.get(name)}
    try:
        made = Submit.model_validate({**value, "spec": spec})
    except ValidationError as error:
        found += faults(error.errors()[:MOST_FAULTS])
        return None, _by_field(found)
    return (None, _by_field(found)) if found else (made, {})


def faults_of(refused: Problem) -> Faults:
    """What the API refused, beside the fields that it names."""
    listed = refused.errors or (Fault(place="", message=refused.detail),)
    return _by_field(listed)


def _value(name: str, text: str) -> object:
    return planning.whole(text) if name in COUNTS else text.replace("\r\n", "\n")


def _more(fields: Mapping[str, str], found: list[Fault]) -> dict[str, Any]:
    text = fields.get(MORE, "")
    if not text:
        return {}
    if len(text) > MOST_MORE or text.count("[") + text.count("{") > MOST_BRACKETS:
        bound = f"at most {MOST_MORE:,} characters and {MOST_BRACKETS} brackets"
        found.append(Fault(place=MORE, message=f"{bound}; `parkade submit FILE` takes more"))
        return {}
    try:
        keys = load(text)
    except Unreadable as error:
        says = [f"{it.place}: {it.message}" for it in error.problem.errors]
        found += [Fault(place=MORE, message=each) for each in says]
        return {}
    with_fields = (*SPEC, *PAIRS, "market")
    own = sorted(str(key) for key in keys if key in with_fields and fields.get(str(key)))
    if own:
        says_twice = f"{', '.join(own)}: written in its own field too; leave one empty"
        found.append(Fault(place=MORE, message=says_twice))
    return keys


def _pairs(name: str, text: str, found: list[Fault]) -> dict[str, str]:
    made: dict[str, str] = {}
    lines = text.splitlines()
    if len(lines) > MOST_LINES:
        found.append(Fault(place=name, message=f"at most {MOST_LINES:,} lines"))
        return {}
    for number, line in enumerate(lines, 1):
        key, sign, value = line.strip().partition("=")
        if not key and not sign:
            continue
        if not sign or key in made:
            why = "stands twice" if sign else "write NAME=VALUE"
            found.append(Fault(place=name, message=f"line {number}: {why}"))
        made[key] = value
    return made


def _by_field(listed: Iterable[Fault]) -> Faults:
    found: Faults = {}
    for fault in listed:
        steps = fault.place.removeprefix("spec.").split(".", 1)
        field = steps[0].split("[")[0]
        if field in FIELDS:
            rest = f"{steps[1]}: " if len(steps) > 1 else ""
            messages = found.setdefault(field, [])
            if not messages or rest:
                messages.append(rest + fault.message)
        elif fault.place.startswith("spec."):
            place = fault.place.removeprefix("spec.")
            found.setdefault(MORE, []).append(f"{place}: {fault.message}")
        else:
            found.setdefault("", []).append(fault.message)
    return found
