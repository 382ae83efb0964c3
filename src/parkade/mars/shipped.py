"""The files of this package: the policy, the NVLink rules, and facts about Xid codes."""

import csv
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from parkade.core.healing.nvlink import (
    Bits,
    NvlinkAction,
    NvlinkRule,
    NvlinkSeverity,
    parse_bits,
)

POLICY = "policy.yaml"
NVLINK_RULES = "nvlink_rules.csv"
XID_FACTS = "xid_facts.csv"


class XidFacts(NamedTuple):
    """What public sources say of a code; an empty text where a source says nothing of it.

    `gpus` are those on which the code occurs; `driver_tells_since` is the first driver that tells a
    recovery action with it. The columns `nvsentinel` to `meta` are those systems' own words.
    """

    xid: int
    mnemonic: str
    meaning: str
    gpus: str
    nvidia: str
    nvidia_follow_up: str
    driver_tells_since: str
    nvsentinel: str
    gpud_event: str
    gpud_actions: str
    eks: str
    azure: str
    k8s: str
    meta: str


def shipped_text(name: str) -> str:
    """The text of a file of this package."""
    return files("parkade.mars").joinpath(name).read_text("utf-8")


@cache
def xid_facts() -> dict[int, XidFacts]:
    """Every code of NVIDIA's catalogue."""
    _, *rows = csv.reader(shipped_text(XID_FACTS).splitlines())
    return {int(xid): XidFacts(int(xid), *rest) for xid, *rest in rows}


@cache
def nvlink_rules() -> dict[int, tuple[NvlinkRule, ...]]:
    """The rules of each code, in the order of the file."""
    rules: dict[int, tuple[NvlinkRule, ...]] = {}
    for row in csv.DictReader(shipped_text(NVLINK_RULES).splitlines()):
        code = int(row["xid"])
        rule = NvlinkRule(
            units=tuple(row["units"].split()),
            bits=_patterns(row["bits_before_r575"], row["bits"]),
            statuses=tuple(int(status, 16) for status in row["statuses"].split()),
            severity=NvlinkSeverity(row["severity"]),
            action=NvlinkAction(row["action"]),
            investigate=row["investigate"].replace("_", " "),
            variant=_patterns(row["variant_before_r575"], row["variant"]),
            variant_action=NvlinkAction(row["variant_action"]) if row["variant_action"] else None,
        )
        rules[code] = (*rules.get(code, ()), rule)
    return rules


def _patterns(*texts: str) -> tuple[Bits, ...]:
    """The distinct patterns that are not empty."""
    return tuple(dict.fromkeys(parse_bits(text) for text in texts if text))
