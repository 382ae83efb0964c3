"""The page of a workload file's keys, for people: `python -m parkade.wire.keys > docs/workload.md`.

Names and defaults are the model's own. What a key means, an example and who refuses it stand here,
one row a key; a test holds that none is missing and that every example can be submitted.
"""

import sys
from typing import NamedTuple

from pydantic_core import PydanticUndefined

from parkade.wire.spec import CheckpointTerms, ElasticNodes, Retry, WorkloadSpec

FORM = "the form"
MARKET = "the market"


class Key(NamedTuple):
    """A row: Markdown, but for the example, which is YAML."""

    means: str
    example: str
    refused: str


KEYS: dict[str, Key] = {
    "name": Key("what you call it; it need not be unique", "train-7b", FORM),
    "command": Key(
        "run by `bash -c` once for each rank",
        "torchrun --nproc-per-node=$PARKADE_GPUS train.py",
        FORM,
    ),
    "workdir": Key(
        "absolute path on the node; by default where `submit` ran; a relative one after `--workdir`"
        " is made absolute",
        "/home/lab/train",
        f"{FORM}; the attempt fails where it is missing",
    ),
    "env": Key(
        "variables, text or whole numbers; they are public: journaled and shown",
        '{EPOCHS: "3", SEED: 7}',
        FORM,
    ),
    "env_file": Key(
        "file of `NAME=value` lines, read on the node as the user; never sent, never stored",
        "~/.secrets/train.env",
        f"{FORM}; the attempt fails where it cannot be read",
    ),
    "image": Key(
        "container image, as the pool's container command takes it: a path or a name",
        "/images/torch-25.10.sqsh",
        f"{FORM}; {MARKET} where none of its pools runs containers (`unsupported`)",
    ),
    "storage": Key(
        "names of file systems it needs; it stands only in a market whose nodes share them all",
        "[home, scratch]",
        f"{FORM}; {MARKET} that does not name one of them (`unsupported`)",
    ),
    "labels": Key(
        "words of your own, by which `ps`, `cancel` and showback choose", "{team: vision}", FORM
    ),
    "nodes": Key(
        "ranks; whole nodes unless `gpus` is less than a node has. `{min, max}`: elastic",
        "{min: 2, max: 16}",
        f"{FORM}; {MARKET} where so many cannot be had together (`too_large`)",
    ),
    "gpus": Key("GPUs of each rank", "8", f"{FORM}; {MARKET} where a node has fewer (`too_large`)"),
    "array": Key(
        "indexes of its members, and after `%` how many run at once",
        "0-199%20",
        f"{FORM}; {MARKET} with `capacity: on-demand` (`unsupported`)",
    ),
    "resize": Key(
        "how an elastic number of nodes changes: `restart`, or [`live`](elastic.md), as it runs",
        "live",
        f"{FORM} without `nodes: {{min, max}}`; {MARKET} where an engine only restarts"
        " (`unsupported`)",
    ),
    "spread": Key("each rank stands on another node", "true", FORM),
    "instance_type": Key(
        "the kind of node; by default that of the market."
        " [Several](instance-types.md), in the order of your wishes, or with a limit for each",
        "[h100-sxm-80gb-ib, a100-sxm-80gb]",
        f"{FORM} of several beside `capacity`, elastic `nodes`, `array`, `deadline` or `market`;"
        f" {MARKET} where it has none (`unsupported`)",
    ),
    "market": Key(
        "where it runs; by default its reservation's, else the only one that has such nodes",
        "garage",
        f"{MARKET} where there is none of that name (`not_found`), or several would do",
    ),
    "interconnect": Key(
        "`fabric`: all ranks within one; `any`: wherever there is room",
        "any",
        f"{FORM} of elastic work; {MARKET} that several pools supply (`unsupported`)",
    ),
    "capacity": Key(
        "`spot`, `on-demand`, `reservation/NAME`, or a list of reservations and then `spot`",
        "reservation/acme",
        f"{FORM}; {MARKET} where the reservation has ended or is another org's",
    ),
    "moves": Key(
        "`needed`: spot is moved only where it must be; `cheaper`: also for a lower floor",
        "cheaper",
        f"{FORM} of what is not spot, or elastic",
    ),
    "limit_price": Key(
        "the most you would pay per GPU-hour, in the installation's unit",
        "2.50",
        f"{FORM}: spot needs one, nothing else may have one",
    ),
    "max_spend": Key(
        "the most that all attempts cost together; a notice comes in time",
        "400",
        f"{MARKET} where a whole on-demand window costs more",
    ),
    "checkpoint": Key(
        "how it is asked to save, see [below](#checkpoint); by default `auto`",
        "{signal: auto, needs: 60s}",
        f"{FORM}; {MARKET} where `needs` is longer than the notice (`notice_too_short`)",
    ),
    "priority": Key(
        "order among work of one reservation, and among your org's own"
        " [spot work of one limit](market.md#an-orgs-own-order); more is earlier",
        "10",
        FORM,
    ),
    "after": Key(
        "waits until these have started or ended; ids, or names of living work", "w17", MARKET
    ),
    "after_ok": Key(
        "waits until these have succeeded",
        "[w17, prepare]",
        f"{MARKET} where that can no longer be",
    ),
    "after_not_ok": Key(
        "waits until these have ended without success", "w17", f"{MARKET} as above"
    ),
    "after_any": Key("waits until these have ended", "w17", MARKET),
    "retry": Key(
        "failures of its own that it survives; preemptions are unlimited and free",
        "{failures: 3}",
        FORM,
    ),
    "max_duration": Key(
        "wall time from the first start, over all attempts",
        "24h",
        f"{FORM}: on-demand needs one; {MARKET} where the calendar has no such window"
        " (`no_capacity`)",
    ),
    "duration": Key(
        "how long it runs in all, uninterrupted; for a deadline",
        "48h",
        f"{FORM} without `deadline`",
    ),
    "fallback": Key(
        "what keeps the deadline where spot does not", "on-demand", f"{FORM} without `deadline`"
    ),
    "deadline": Key(
        "when it is to be done; [on-demand in time](deadlines.md) if spot does not make it",
        "+52h",
        f"{FORM} without `duration` and `fallback`; {MARKET} where the calendar or the money does"
        " not suffice",
    ),
}

CHECKPOINT: dict[str, Key] = {
    "signal": Key(
        "`auto`: SIGTERM to each trainer that handles it; `none`: the notice file alone",
        "SIGUSR1",
        FORM,
    ),
    "needs": Key("how long saving takes", "60s", f"{MARKET} where the notice is shorter"),
    "preset": Key("what a kind of program listens to", "lightning", FORM),
    "command": Key("run beside each rank, as its user, to make it save", "./save.sh", FORM),
    "exit_zero": Key("what exit 0 means after our signal", "done", FORM),
}

_HEAD = """# Keys of a workload

A workload is a YAML file (`parkade submit -f train.yaml`), a JSON body ([API](api.md)) or flags: a
flag is its key with dashes, `--limit-price 2.50`. Only `name` and `command` have no default; spot
needs a `limit_price` as well, and a JSON body a `workdir`. A key or value that is not known is
refused with its place and, where one is close, the right spelling; `parkade plan -f FILE` checks a
file, says what would happen, and changes nothing. The same as JSON Schema:
[workload-v1.json](schema/workload-v1.json).

Spans are written `90s`, `30m`, `24h`, `7d`; money in the installation's unit with at most six
decimals, per GPU-hour where it is a price. [Names and limits](limits.md) has every bound.

*Refused by*: **the form** is checked by the command line and the server before anything else;
**the market** answers with the [code](api.md#codes) in parentheses. What only the node can know, it
says when the attempt starts.
"""
_CHECKPOINT = """## Checkpoint

One of `signal`, `preset` and `command`. A word alone stands for the map: `checkpoint: lightning` is
`{preset: lightning}`. [Programs](programs.md#which-signal) says what each preset does.
"""


def page() -> str:
    """The page's text."""
    presets = ", ".join(f"`{word}`" for word in _words("preset"))
    signals = ", ".join(f"`{word}`" for word in _words("signal"))
    return "\n".join(
        [
            _HEAD,
            *_table(KEYS, WorkloadSpec),
            "",
            f"`nodes: {{min, max}}` has {_both(ElasticNodes)}; `retry` has {_both(Retry)}.",
            "",
            _CHECKPOINT,
            *_table(CHECKPOINT, CheckpointTerms),
            "",
            f"Signals: {signals}. Presets: {presets}.",
            "",
        ]
    )


def _table(keys: dict[str, Key], model: type) -> list[str]:
    rows = ["| key | what it is | default | example | refused by |", "|---|---|---|---|---|"]
    for name, field in model.model_fields.items():  # type: ignore[attr-defined]
        key = keys[name]
        default = _default(field.get_default(call_default_factory=True))
        rows.append(f"| `{name}` | {key.means} | {default} | `{key.example}` | {key.refused} |")
    return rows


def _default(value: object) -> str:
    if value is PydanticUndefined:
        return "**needed**"
    if value in (None, (), {}):
        return "–"
    if isinstance(value, Retry):
        return f"`{{failures: {value.failures}}}`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`"


def _both(model: type) -> str:
    return " and ".join(f"`{name}`" for name in model.model_fields)  # type: ignore[attr-defined]


def _words(field: str) -> list[str]:
    described = CheckpointTerms.model_json_schema()["anyOf"][1]["properties"][field]["anyOf"]
    return [str(word) for word in described[0]["enum"]]


if __name__ == "__main__":
    sys.stdout.write(page())
