"""Decodes NVLink 5 errors (Xid 144 to 150) by the catalogue's rules, which are data.

A rule names the units, a pattern over the 32 bits of the interrupt register, and the error status.
Drivers before R575 lay the register out otherwise than later ones, so each rule has two patterns
and a line may match either; the unit's name in the line keeps them apart. A second pair of patterns
on some rules marks a variant with an action of its own.
"""

import enum

import msgspec

from parkade.core.healing.symptom import NvlinkFact


class NvlinkAction(enum.StrEnum):
    """What the catalogue says of a sub-code."""

    IGNORE = "ignore"
    RESET_GPU = "reset_gpu"
    FOLLOW_DRIVER = "follow_driver"
    """Do what Xid 154 says."""


class NvlinkSeverity(enum.StrEnum):
    """GPU fatal: all links go down. Link fatal: one link; drain first, then reset."""

    NON_FATAL = "non_fatal"
    LINK_FATAL = "link_fatal"
    FATAL = "fatal"


class Bits(msgspec.Struct, frozen=True, kw_only=True):
    """A pattern over 32 bits: those in `mask` must equal those of `value`."""

    mask: int
    value: int

    def matches(self, register: int) -> bool:
        """Whether a register has these bits."""
        return register & self.mask == self.value


class NvlinkRule(msgspec.Struct, frozen=True, kw_only=True):
    """`statuses` empty matches any status. `variant` bits, if they match, give `variant_action`."""

    units: tuple[str, ...]
    bits: tuple[Bits, ...]
    statuses: tuple[int, ...]
    severity: NvlinkSeverity
    action: NvlinkAction
    investigate: str
    variant: tuple[Bits, ...]
    variant_action: NvlinkAction | None


class Decoded(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules say of one line."""

    action: NvlinkAction
    severity: NvlinkSeverity
    investigate: str


def parse_bits(pattern: str) -> Bits:
    """`------000000----------0001100010`: 32 places, the highest bit first, `-` for any.

    Raises ValueError with what is wrong.
    """
    if len(pattern) != 32 or set(pattern) - set("01-"):
        raise ValueError(f"{pattern!r} is not 32 places of 0, 1 and -")
    return Bits(
        mask=int("".join("0" if place == "-" else "1" for place in pattern), 2),
        value=int(pattern.replace("-", "0"), 2),
    )


def decode(fact: NvlinkFact, rules: dict[int, tuple[NvlinkRule, ...]]) -> Decoded | None:
    """The first rule that matches, None where none does; grows with the rules of one code (68)."""
    for rule in rules.get(fact.code, ()):
        if not _names_meet(fact.unit, rule.units):
            continue
        if rule.statuses and fact.status not in rule.statuses:
            continue
        is_variant = any(bits.matches(fact.interrupt) for bits in rule.variant)
        if not is_variant and not any(bits.matches(fact.interrupt) for bits in rule.bits):
            continue
        action = rule.variant_action if is_variant and rule.variant_action else rule.action
        return Decoded(action=action, severity=rule.severity, investigate=rule.investigate)
    return None


def _names_meet(unit: str, units: tuple[str, ...]) -> bool:
    """A line may name a unit by one of its names or by both, `TLW_RX/TLW_RX_PIPE0`."""
    return any(part in units for part in unit.split("/"))
