"""A trace as one HTML page that needs nothing else: no script, no font, no network.

All text is escaped. Light and dark follow the reader's system. Long lists fold.
"""

import re
from collections.abc import Iterator
from html import escape

from parkade.compound.amounts import plain
from parkade.compound.show.trace import Trace, TracedCall, TracedNode, fault_of
from parkade.core.units.money import format_amount
from parkade.core.units.phrases import counted

MAX_SHOWN = 500
MAX_TEXT = 20_000
OPEN_TEXT = 400

STYLE = """
:root{color-scheme:light dark;--ink:#1c1c22;--soft:#63636e;--line:#dcdce3;--back:#fbfbfd;
--card:#fff;--good:#1a7f4b;--goodback:#e5f5ec;--bad:#b3382c;--badback:#fbeae8;--mark:#3b6fd4}
@media(prefers-color-scheme:dark){:root{--ink:#ececf1;--soft:#a0a0ac;--line:#35353f;--back:#17171c;
--card:#1f1f26;--good:#5fd198;--goodback:#16352a;--bad:#f08d82;--badback:#3d1f1c;--mark:#82a8f4}}
*{box-sizing:border-box}body{margin:0;background:var(--back);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:980px;margin:0 auto;padding:32px 20px 64px}
h1{font-size:21px;margin:0 0 4px}h2{font-size:15px;margin:0}
.soft{color:var(--soft)}.num{font-variant-numeric:tabular-nums}
.answer{background:var(--card);border:1px solid var(--line);border-left:4px solid var(--mark);
border-radius:8px;padding:14px 18px;margin:18px 0}
.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(140px,1fr));gap:10px 20px;
margin:14px 0 26px}.facts b{display:block;font-size:18px;font-weight:600}
.part{border-left:2px solid var(--line);padding:2px 0 2px min(14px,2vw);
margin:14px 0 14px calc(var(--depth)*min(18px,2.5vw))}
.part>header{display:flex;gap:12px;align-items:baseline;flex-wrap:wrap}
.call{background:var(--card);border:1px solid var(--line);border-radius:8px;margin:8px 0;
padding:8px 12px}
.call.won{border-color:var(--mark);box-shadow:0 0 0 1px var(--mark)}
.call header{display:flex;gap:10px;align-items:center;flex-wrap:wrap;font-size:13px}
.call header .right{margin-left:auto}
pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:6px 0 2px;
font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,monospace}
.tag{border-radius:99px;padding:1px 9px;font-size:12px;font-weight:600}
.yes{color:var(--good);background:var(--goodback)}.no{color:var(--bad);background:var(--badback)}
details>summary{cursor:pointer;color:var(--soft);font-size:13px}
.reason{font-size:13px;color:var(--soft);margin:2px 0}
"""


def as_page(trace: Trace) -> str:
    """The whole page."""
    title = escape(f"Question {trace.question}")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'\">"
        f"<title>{title}</title><style>{STYLE}</style></head><body><main>"
        f"<h1>{title}</h1>{_prompt(trace)}{_answer(trace)}{_failures(trace)}"
        f"{_facts(trace)}{_notes(trace)}"
        f"{''.join(_part(part, trace) for part in trace.parts)}"
        f"{'<p class=soft>The rest of a long trace is left out.</p>' if trace.is_cut else ''}"
        "</main></body></html>\n"
    )


def _prompt(trace: Trace) -> str:
    return f"<pre>{_text(trace.prompt)}</pre>" if trace.prompt else ""


def _answer(trace: Trace) -> str:
    result = trace.result
    if result is None:
        why = "It failed; the next run asks it again." if trace.failures else "No answer yet."
        return f'<p class="answer soft">{why}</p>'
    if result.answer is None:
        return '<p class="answer soft">The network abstained: no candidate was accepted.</p>'
    return (
        f'<div class="answer"><header>{_tag(result.accepted)}</header>'
        f"<pre>{_text(result.answer)}</pre>"
        f'<p class="reason">from {escape(trace.origin)}</p></div>'
    )


def _failures(trace: Trace) -> str:
    return "".join(
        f'<p class="reason"><span class="tag no">failure</span> {escape(each)}</p>'
        for each in trace.failures
    )


def _notes(trace: Trace) -> str:
    notes = () if trace.result is None else trace.result.notes
    return "".join(f'<p class="reason">{escape(note)}</p>' for note in notes)


def _facts(trace: Trace) -> str:
    result = trace.result
    verdicts = [
        v for part in trace.parts for each in part.candidates for v in each.distinct_verdicts
    ]
    tokens = sum(
        each.call.input + each.call.output
        for part in trace.parts
        for each in part.candidates
        if not each.paid_by
    )
    facts = [
        ("call" if trace.calls == 1 else "calls", f"{trace.calls:,}"),
        ("money", format_amount(trace.cost)),
        ("tokens", f"{tokens:,}"),
        ("verdicts accepted", f"{sum(v.accepted for v in verdicts):,} of {len(verdicts):,}"),
    ]
    if trace.given:
        facts.append(("of other questions", counted(trace.given, "call")))
    if result is not None:
        facts.append(("time", f"{result.us / 1e6:.1f} s"))
        facts.append(("from the journal", counted(result.cached, "call")))
    shown = "".join(
        f'<div class="num"><b>{v}</b><span class=soft>{n}</span></div>' for n, v in facts
    )
    return f'<div class="facts">{shown}</div>'


def _part(part: TracedNode, trace: Trace) -> str:
    summary = ""
    if part.candidates:
        summary = f"{counted(len(part.candidates), 'call')} · {format_amount(part.cost)}"
    answer = "" if trace.result is None else trace.result.key
    ordered = sorted(part.candidates, key=lambda each: each.call.key != answer)
    calls = "".join(_call(each, answer) for each in ordered[:MAX_SHOWN])
    if len(ordered) > MAX_SHOWN:
        calls += f'<p class="soft">… and {len(ordered) - MAX_SHOWN:,} more</p>'
    if len(ordered) > 8:
        first = "".join(_call(each, answer) for each in ordered[:3])
        rest = "".join(_call(each, answer) for each in ordered[3:MAX_SHOWN])
        more = counted(len(ordered) - 3, "more call")
        calls = f"{first}<details><summary>{more}</summary>{rest}</details>"
    failed = "".join(
        f'<p class="reason"><span class="tag no">no answer</span> {escape(each.model)}: '
        f"{escape(each.why)}</p>"
        for each in part.failed[:MAX_SHOWN]
    )
    return (
        f'<section class="part" style="--depth:{part.depth}"><header>'
        f'<h2>{escape(part.title)}</h2><span class="soft num">{summary}</span></header>'
        f"{calls}{failed}</section>"
    )


def _call(each: TracedCall, answer: str) -> str:
    call = each.call
    has_won = bool(answer) and call.key == answer
    tags = "".join(_tag(verdict.accepted) for verdict in each.distinct_verdicts)
    if fault := fault_of(call):
        tags += f'<span class="tag no">{fault}</span>'
    reasons = "".join(_reasons(each))
    about = f" on {escape(each.about)}" if each.about else ""
    about += f", {each.alike} {each.vote}" if each.vote else ""
    about += f", made for {escape(each.paid_by)}" if each.paid_by else ""
    text = f"<pre>{_text(call.text)}</pre>"
    if len(call.text) > OPEN_TEXT:
        text = (
            f"<details><summary>{escape(call.text[:120])}…</summary><pre>{_text(call.text)}</pre>"
            "</details>"
        )
    return (
        f'<article class="call{" won" if has_won else ""}"><header><b>{escape(call.model)}</b>'
        f'<span class="soft num">sample {call.sample}{about}</span>{tags}'
        f"{'<span class=tag>the answer</span>' if has_won else ''}"
        f'<span class="soft num right">{call.input:,} → {call.output:,} tokens · '
        f"{format_amount(call.cost)} · {call.us / 1e6:.2f} s</span></header>{text}{reasons}"
        "</article>"
    )


def _reasons(each: TracedCall) -> Iterator[str]:
    for verdict in each.distinct_verdicts:
        if verdict.reason or verdict.score is not None:
            score = "" if verdict.score is None else f", score {plain(verdict.score)}"
            yield (
                f'<p class="reason"><b>{escape(_without_digest(verdict.verifier))}{score}</b> '
                f"{escape(verdict.reason[:2_000])}</p>"
            )


def _without_digest(verifier: str) -> str:
    """A model verifier's name ends with a digest of what it asks, which tells a reader nothing."""
    return re.sub(r"@[0-9a-f]{16}$", "", verifier)


def _tag(accepted: bool | None) -> str:
    if accepted is None:
        return ""
    return (
        '<span class="tag yes">accepted</span>'
        if accepted
        else '<span class="tag no">not accepted</span>'
    )


def _text(text: str) -> str:
    shown = text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + "…"
    return escape(shown)
