"""Draws docs/mars/policy.md from the shipped policy: `python -m tests.docs.mars_policy` writes
it."""

from datetime import timedelta
from pathlib import Path

from msgspec.structs import asdict

from parkade.cli.mars.explain import repeat_text
from parkade.core.healing.policy import Policy, PolicyRule
from parkade.core.healing.verdict import Action
from parkade.mars.comparing import IN_FILE, agreement, signal_order
from parkade.mars.policy_file import (
    LadderRow,
    PolicyFile,
    RepeatRow,
    Row,
    WindowRow,
    shipped_file,
    shipped_policy,
)
from parkade.mars.shipped import xid_facts
from parkade.wire.scalars import format_span
from tests.docs.mars_run_file import keys_of

PAGE = Path(__file__).resolve().parents[2] / "docs" / "mars" / "policy.md"


def draw() -> str:
    """The page."""
    file, policy = shipped_file(), shipped_policy()
    return "\n".join(
        [
            "# The policy",
            "",
            "<!-- Drawn from the policy file by `python -m tests.docs.mars_policy`. -->",
            "",
            f"What each symptom means and what is done: policy `{policy.version}`. The file is",
            "`policy.yaml` in the package `parkade.mars`; a site changes rows in a file of its",
            "own, as [the how-to](scan.md#change-the-policy) shows. The last column names the",
            "sources; `parkade mars explain xid/79` prints what each of them says of a code.",
            "",
            *_agreement(policy),
            "",
            *_rows(policy),
            "",
            *_sources(file),
            "",
            *_keys(policy),
            "",
            "## Known limits",
            "",
            "`policy diff` compares what is written. It does not say what a file would have made",
            "of past faults: try it on lines of your own with `parkade mars scan --policy`.",
            "",
        ]
    )


def _agreement(policy: Policy) -> list[str]:
    found = agreement(policy)
    agree = sum(each.agrees is True for each in found)
    silent = sum(each.agrees is None for each in found)
    lines = [
        "## Beside NVIDIA's catalogue",
        "",
        f"Of {len(found)} codes our first action is NVIDIA's in {agree}. In {silent} the catalogue",
        "recommends nothing. In these it differs, deliberately:",
        "",
        "| code | NVIDIA | ours | why |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| xid/{each.xid} | `{each.nvidia}` | {_words(each.rule.action.value)}"
        f" | {each.rule.differs} |"
        for each in found
        if each.agrees is False
    ]
    return [
        *lines,
        "",
        "NVLink 5 codes (144 to 150) and codes 74 and 154 are decided by what the line says:",
        "by the catalogue's decode rules, and by the repair that the driver names.",
    ]


def _rows(policy: Policy) -> list[str]:
    lines = [
        "## Rows",
        "",
        "| signal | meaning | level | action | when repeated | why | sources |",
        "|---|---|---|---|---|---|---|",
    ]
    facts = xid_facts()
    for signal in sorted(policy.rules, key=signal_order):
        family, _, code = signal.partition("/")
        known = facts.get(int(code)) if family == "xid" and code.isdecimal() else None
        meaning = known.meaning if known else ""
        lines += [_row(signal, meaning, rule) for rule in policy.rules[signal]]
    return lines


def _row(signal: str, meaning: str, rule: PolicyRule) -> str:
    repeats = "; ".join(repeat_text(repeat) for repeat in rule.repeats)
    scope = " (node)" if rule.scope.value == "node" else ""
    return (
        f"| `{signal}` | {meaning} | {rule.level.value} | {_words(rule.action.value)}{scope}"
        f" | {repeats} | {rule.why} | {', '.join(rule.provenance)} |"
    )


def _sources(file: PolicyFile) -> list[str]:
    lines = ["## Sources", "", "| name | what |", "|---|---|"]
    return [*lines, *(f"| {name} | {text} |" for name, text in file.sources.items())]


def _keys(policy: Policy) -> list[str]:
    """Every key of a policy file; a span or a number that is left out is the shipped one."""
    limits = {**asdict(policy.windows), **asdict(policy.ladder)}
    shown = {
        name: format_span(timedelta(microseconds=value)) if name.endswith("_us") else str(value)
        for name, value in limits.items()
    }
    windows = [f"`{name}` {shown[field]}" for field, name in IN_FILE.items() if field in shown]
    rungs = [f"`{name}` {shown[name]}" for name in ("resets", "reboots", "diagnoses")]
    actions = ", ".join(f"`{each.value}`" for each in Action)
    return [
        "## Every key of a file",
        "",
        *keys_of(
            (
                ("", PolicyFile),
                ("windows.", WindowRow),
                ("ladder.", LadderRow),
                ("rules[].", Row),
                ("rules[].repeats[].", RepeatRow),
            )
        ),
        "",
        f"Shipped are {', '.join(windows)} of the ladder, {', '.join(rungs)}. The actions:",
        f"{actions}.",
    ]


def _words(name: str) -> str:
    return name.replace("_", " ")


if __name__ == "__main__":
    PAGE.write_text(draw(), encoding="utf-8")
