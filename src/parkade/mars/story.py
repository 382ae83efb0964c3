"""An incident as one story: plain text for a terminal, and a page that stands alone.

Both are made of the wire's `Incident` alone, so that what is shown is what a tool can read. The
page loads nothing, runs no script, and escapes every word: kernel lines are written by strangers.
"""

import textwrap
from collections.abc import Iterable, Iterator
from datetime import datetime
from html import escape

from parkade.mars.plain_lines import plain_line
from parkade.wire.mars import Hurt, Incident, StoryLine

HELD = {"observe_only": "Mars was stopped"}
"""What held an incident, where the wire's word would not be understood."""
COLOURS = {
    "opened": "#b3261e",
    "verdict": "#b3261e",
    "guards": "#8a6100",
    "work": "#1f5fbf",
    "swap": "#1f5fbf",
    "repair": "#6b3fa0",
    "turned": "#6b3fa0",
    "node": "#555f6b",
    "returned": "#1a7f37",
    "retired": "#b3261e",
    "waived": "#8a6100",
    "expired": "#8a6100",
}
STYLE = """
:root{color-scheme:light}
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;
color:#1c2128;background:#fff}
h1{font-size:1.4rem;margin:0 0 .2rem} h2{font-size:1.05rem;margin:2rem 0 .5rem}
.sub{color:#555f6b;margin:0 0 1.2rem}
.facts{display:flex;flex-wrap:wrap;gap:.6rem 2rem;margin:0;padding:.8rem 1rem;background:#f5f7f9;
border-radius:.4rem}
.facts div{min-width:7rem} dt{color:#555f6b;font-size:.8rem} dd{margin:0;font-weight:600}
table{border-collapse:collapse;width:100%} td,th{text-align:left;padding:.25rem .8rem .25rem 0;
vertical-align:top}
th{color:#555f6b;font-weight:500;font-size:.8rem;border-bottom:1px solid #d5dbe1}
td.time{white-space:nowrap;font-variant-numeric:tabular-nums;color:#555f6b}
td.kind{white-space:nowrap;font-weight:600}
pre{background:#f5f7f9;padding:.7rem 1rem;border-radius:.4rem;white-space:pre-wrap;
word-break:break-word;font-size:.85rem;margin:.4rem 0}
""".strip()


def outcome_of(incident: Incident) -> str:
    """How it ended, or what it waits for."""
    if incident.outcome is not None:
        return incident.outcome
    if incident.held is not None:
        return f"held: {HELD.get(incident.held, incident.held.replace('_', ' '))}"
    if incident.order is not None:
        return f"open, {incident.order} under way"
    return f"open, next: {incident.next}"


FACT_INDENT, TIME_INDENT, HURT_INDENT = 11, 22, 4
"""Where the words of a line begin, and so those that it goes on with."""


def story_text(incident: Incident, *, width: int | None = None) -> str:
    """The whole story as lines of text, none longer than `width`; seconds count from the first."""
    began = incident.opened
    action = incident.action.replace("_", " ")
    lines = [
        f"{incident.incident}  {incident.node} ({incident.pool}, fabric {incident.fabric})",
        f"{incident.level} {incident.signal}, {action}: {outcome_of(incident)}",
        "",
    ]
    for verdict in incident.verdicts[:1]:
        facts = [f"  because  {reason}" for reason in verdict.reasons]
        facts += [f"  seen     {plain_line(it.line)}" for it in verdict.evidence[:1]]
        facts.append(f"  policy   {verdict.policy}")
        lines += [*_wrapped(facts, FACT_INDENT, width), ""]
    events = (f"  {since(began, it.at):>9}  {it.kind:<9}{it.says}" for it in incident.lines)
    lines += _wrapped(events, TIME_INDENT, width)
    if incident.hurt:
        lines += ["", "hurt"]
        lines += _wrapped((f"  {_hurt_words(it)}" for it in incident.hurt), HURT_INDENT, width)
    return "\n".join(lines)


def _wrapped(lines: Iterable[str], indent: int, width: int | None) -> Iterator[str]:
    """Each line, going on below where its words began."""
    for line in lines:
        if width is None or len(line) <= width:
            yield line
            continue
        yield from textwrap.wrap(
            line,
            max(width, indent + 20),
            subsequent_indent=" " * indent,
            break_on_hyphens=False,
            drop_whitespace=True,
        )


def story_page(incident: Incident) -> str:
    """One page of HTML that needs nothing else."""
    title = f"{incident.incident}: {incident.signal} on {incident.node}"
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>",
            f"<h1>{escape(title)}</h1>",
            f'<p class="sub">{escape(_subtitle(incident))}</p>',
            "<dl class=facts>",
            *_facts(incident),
            "</dl>",
            "<h2>What happened</h2><table>",
            "<tr><th>after</th><th>what</th><th></th></tr>",
            *(_row(incident.opened, it) for it in incident.lines),
            "</table>",
            *_hurt_table(incident),
            *_evidence(incident),
            "</body></html>",
            "",
        ]
    )


def _subtitle(incident: Incident) -> str:
    place = f"pool {incident.pool}, market {incident.market}, fabric {incident.fabric}"
    return f"{incident.opened:%Y-%m-%d %H:%M:%S} UTC, {place}"


def _facts(incident: Incident) -> Iterator[str]:
    lasted = "" if incident.closed is None else _span(incident.opened, incident.closed)
    facts = [
        ("level", incident.level),
        ("action", incident.action.replace("_", " ")),
        ("device", incident.device or "the node"),
        ("outcome", outcome_of(incident)),
        ("lasted", lasted),
    ]
    for name, value in facts:
        if value:
            yield f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"


def _row(began: datetime, line: StoryLine) -> str:
    colour = COLOURS.get(line.kind, "#555f6b")
    return (
        f'<tr><td class=time title="{line.at.isoformat()}">{since(began, line.at)}</td>'
        f'<td class=kind style="color:{colour}">{escape(line.kind)}</td>'
        f"<td>{escape(line.says)}</td></tr>"
    )


def _hurt_table(incident: Incident) -> Iterator[str]:
    if not incident.hurt:
        return
    yield "<h2>Who was hurt</h2><table>"
    yield "<tr><th>workload</th><th>org</th><th>stood still</th><th>from step</th><th>moved to</th>"
    yield "</tr>"
    for it in incident.hurt:
        notice = " (with notice)" if it.with_notice else ""
        cells = (
            it.workload,
            it.org,
            _still(it) + notice,
            "" if it.checkpoint_step is None else str(it.checkpoint_step),
            ", ".join(it.moved_to),
        )
        yield "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
    yield "</table>"


def _evidence(incident: Incident) -> Iterator[str]:
    yield "<h2>Evidence</h2>"
    for verdict in incident.verdicts:
        seen = "once" if verdict.count == 1 else f"{verdict.count} times"
        words = f"{verdict.level}: {verdict.signal}, seen {seen}"
        yield f"<p><b>{escape(words)}</b><br>{escape(sentences(verdict.reasons))}<br>"
        yield f"<small>policy {escape(verdict.policy)}</small></p>"
        for it in verdict.evidence:
            source = f"{it.source} of {it.reporter}, read by {it.parser}"
            yield f"<pre>{escape(plain_line(it.line))}</pre><small>{escape(source)}</small>"


def _hurt_words(hurt: Hurt) -> str:
    moved = f", moved to {', '.join(hurt.moved_to)}" if hurt.moved_to else ""
    step = "" if hurt.checkpoint_step is None else f" from step {hurt.checkpoint_step}"
    notice = ", with notice" if hurt.with_notice else ""
    return f"{hurt.workload} of {hurt.org}: stood still {_still(hurt)}{step}{notice}{moved}"


def _still(hurt: Hurt) -> str:
    if hurt.seconds is None:
        return "not yet over" if hurt.from_ is not None else "not yet"
    return f"{hurt.seconds:.1f} s"


def sentences(reasons: Iterable[str]) -> str:
    """Reasons as sentences one after the other."""
    return " ".join(
        f"{reason[:1].upper()}{reason[1:].rstrip('.')}." for reason in reasons if reason
    )


def since(began: datetime, at: datetime) -> str:
    """As exact as matters: +2.1 s, +46m30s, +25h01m."""
    seconds = (at - began).total_seconds()
    if seconds < 600:
        return f"{seconds:+.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"+{hours}h{minutes:02}m" if hours else f"+{minutes}m{rest:02}s"


def _span(began: datetime, ended: datetime) -> str:
    seconds = (ended - began).total_seconds()
    if seconds < 10:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min"
