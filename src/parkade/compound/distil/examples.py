"""Training examples out of judged candidates: supervised, preference pairs, or a batch to run.

The forms are those that trainers read without conversion: TRL's conversational prompt-completion
as `messages`, TRL's conversational preference pairs, OpenAI's batch requests.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from parkade.compound.distil.gather import Judged, Kept
from parkade.compound.distil.similar import TestSet, fingerprint
from parkade.compound.values import Question

KEEP = ("verified", "best", "pairs")
FORMS = ("sft", "dpo", "batch")


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept and how it is written.

    `keep`: "verified" all accepted candidates, "best" the answer (or the accepted candidate with
    the highest score), "pairs" accepted beside rejected ones.
    """

    keep: str = "verified"
    form: str = "sft"
    #: At most so many examples of one question.
    most: int = 4
    system: str | None = None
    #: The model of batch requests.
    model: str = ""


class ExampleCounts(msgspec.Struct):
    """How many examples there are, and why others are not."""

    questions: int = 0
    written: int = 0
    duplicates: int = 0
    contaminated: int = 0
    nothing_kept: int = 0
    #: Of those: questions of which the run has no verdict and no accepted answer.
    without_verdict: int = 0


def examples(
    questions: Iterable[Question],
    kept: dict[str, Kept],
    choice: Choice,
    test_set: TestSet | None,
    counted: ExampleCounts,
) -> Iterator[dict[str, Any]]:
    """In the order of the questions; `counted` is kept up to date. ValueError on a wrong choice."""
    _check(choice)
    seen: set[bytes] = set()
    for question in questions:
        counted.questions += 1
        if test_set is not None and test_set.touches(question.prompt):
            counted.contaminated += 1
            continue
        written = 0
        for texts, example in _of(question, kept.get(question.id), choice):
            if written >= choice.most:
                break
            mark = fingerprint(question.prompt, *texts)
            if mark in seen:
                counted.duplicates += 1
                continue
            seen.add(mark)
            written += 1
            yield example
        counted.written += written
        counted.nothing_kept += not written
        counted.without_verdict += not written and question.id not in kept


def why_none(counted: ExampleCounts, kept: dict[str, Kept], choice: Choice) -> str | None:
    """Why nothing was written, and what to do; None where something was."""
    if counted.written:
        return None
    if not counted.questions:
        return "the file of questions is empty"
    if not kept:
        return "the run has no verdicts: give its network a verifier, such as >> V@number"
    if counted.contaminated == counted.questions:
        return "every question touches the test set"
    if counted.without_verdict == counted.questions - counted.contaminated:
        return "the run has no verdict on any of these questions: are they the ones it ran over?"
    if choice.keep == "pairs":
        return "no question has both an accepted and a rejected candidate"
    return "no candidate was accepted"


def _check(choice: Choice) -> None:
    if choice.keep not in KEEP:
        raise ValueError(f"keep is one of {', '.join(KEEP)}, not {choice.keep!r}")
    if choice.form not in FORMS:
        raise ValueError(f"form is one of {', '.join(FORMS)}, not {choice.form!r}")
    if (choice.form == "dpo") != (choice.keep == "pairs"):
        raise ValueError("pairs are written as dpo, and dpo is made of pairs")
    if choice.form == "batch" and not choice.model:
        raise ValueError("a batch needs the name of a model")


def _of(
    question: Question, kept: Kept | None, choice: Choice
) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """The texts that make an example what it is, and the example."""
    if kept is None:
        return
    asked = _asked(question, choice)
    if choice.form == "batch":
        if kept.accepted or kept.answer is not None:
            body = {"model": choice.model, "messages": asked}
            yield (
                (),
                {
                    "custom_id": question.id,
                    "method": "POST",
                    "url": "/v1/chat/completions",
                    "body": body,
                },
            )
        return
    if choice.keep == "pairs":
        for better, worse in zip(kept.accepted, kept.rejected, strict=False):
            yield (
                (better.text, worse.text),
                {
                    "prompt": asked,
                    "chosen": [{"role": "assistant", "content": better.text}],
                    "rejected": [{"role": "assistant", "content": worse.text}],
                },
            )
        return
    for judged in _chosen(kept, choice.keep):
        reply = {"role": "assistant", "content": judged.text}
        yield (judged.text,), {"messages": [*asked, reply]}


def _asked(question: Question, choice: Choice) -> list[dict[str, Any]]:
    asked = [{"role": "user", "content": question.prompt}]
    return (
        asked if choice.system is None else [{"role": "system", "content": choice.system}, *asked]
    )


def _chosen(kept: Kept, keep: str) -> list[Judged]:
    if keep == "verified":
        return kept.accepted or ([kept.answer] if kept.answer else [])
    scored = [judged for judged in kept.accepted if judged.score is not None]
    if scored:
        return [max(scored, key=lambda judged: judged.score or 0.0)]
    if kept.answer is not None:
        return [kept.answer]
    return kept.accepted[:1]
