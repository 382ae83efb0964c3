"""Explains a signal: its meaning, what public sources say, and what our policy does and why."""

import re

import msgspec

from parkade.core.healing.policy import DEFAULT_SIGNAL, Policy, PolicyRule
from parkade.core.healing.symptom import signals_of
from parkade.mars.policy_file import NAMED, expand
from parkade.mars.shipped import XidFacts, xid_facts
from parkade.sensors.kernel_log.codes import RECOVERY_XID
from parkade.sensors.kernel_log.reading import read

VERSION = 1
SOURCES = {
    "nvidia": "NVIDIA catalogue",
    "nvidia_follow_up": "NVIDIA, to follow up",
    "nvsentinel": "NVSentinel",
    "gpud_event": "GPUd, severity",
    "gpud_actions": "GPUd, repair",
    "eks": "Amazon EKS agent",
    "azure": "Azure node checks",
    "k8s": "k8s device plugin",
    "meta": "Meta GCM",
}
"""Columns of the facts, as people know those systems."""
CLASSES = {
    "xid": ("xid/unknown",),
    "sxid": ("sxid/fatal", "sxid/non_fatal", "sxid/unstated"),
}
"""The signals that are asked where a code of this family has no row."""
_WORDS = {"fail": "fails the node", "fatal": "replaces the node", "noncrit": "not critical"}


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """`rules` are the rows that may answer, in the order in which they are asked. `says` is
    (source, its words); a source that does not list the code is not in it."""

    version: int
    signal: str
    meaning: str | None
    mnemonic: str | None
    gpus: str | None
    driver_tells_since: str | None
    says: tuple[tuple[str, str], ...]
    rules: tuple[PolicyRule, ...]
    policy: str


def signal_from(words: tuple[str, ...]) -> str:
    """`XID 79`, `xid79`, `xid/79`, `79`, `link_down` or a line of the kernel's log as a signal;
    ValueError where there is none."""
    seen = read(" ".join(words))
    if seen.fact is not None:
        return signals_of(seen.fact)[0]
    if seen.is_program:
        raise ValueError("this line is another program's, not the kernel's; give a kernel's line")
    text = "/".join(word.strip().lower() for word in words)
    code = re.fullmatch("(?:xid[-_:]?)?([0-9]+)", text)
    if code is not None:
        text = f"xid/{code[1]}"
    if text in NAMED:
        return text
    signals = expand(text)
    if len(signals) != 1:
        raise ValueError(f"{text!r} is a range; ask for one code")
    return signals[0]


def explain(signal: str, policy: Policy) -> Explanation:
    """Everything known of a signal."""
    family, _, code = signal.partition("/")
    facts = xid_facts().get(int(code)) if family == "xid" and code.isdecimal() else None
    return Explanation(
        version=VERSION,
        signal=signal,
        meaning=None if facts is None else facts.meaning,
        mnemonic=None if facts is None else facts.mnemonic,
        gpus=None if facts is None else facts.gpus,
        driver_tells_since=None if facts is None else facts.driver_tells_since or None,
        says=() if facts is None else _says(facts),
        rules=rules_for(signal, policy),
        policy=policy.version,
    )


def rules_for(signal: str, policy: Policy) -> tuple[PolicyRule, ...]:
    """The rows that may answer: of the signal, or of its class where it has none."""
    family = signal.partition("/")[0]
    if signal == f"xid/{RECOVERY_XID}":
        names = [name for name in policy.rules if name.startswith("recovery/")]
        return tuple(rule for name in names for rule in policy.rules[name])
    found = policy.rules.get(signal, ())
    if found:
        return found
    found = tuple(rule for name in CLASSES.get(family, ()) for rule in policy.rules.get(name, ()))
    return found or policy.rules[DEFAULT_SIGNAL]


def _says(facts: XidFacts) -> tuple[tuple[str, str], ...]:
    says = []
    for column, name in SOURCES.items():
        word = getattr(facts, column)
        if word:
            says.append((name, _WORDS.get(word, word)))
    return tuple(says)
