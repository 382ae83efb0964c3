"""What a verifier is worth on MMLU, subject by subject, against any OpenAI-compatible server.

    python examples/mmlu/gain.py questions.jsonl.gz --url http://127.0.0.1:8000/v1 --model NAME \
        --out build/mmlu

Killed at any moment, the same command goes on where it was: its calls are in the journal.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import msgspec

from examples.mmlu import networks
from examples.mmlu.questions import BadRow, groups, read, read_subject, subjects_of
from parkade.compound.amounts import micros_of
from parkade.compound.evaluate.gain import Gain, gains
from parkade.compound.evaluate.measures import Measure
from parkade.compound.evaluate.outcomes import CandidateOutcome
from parkade.compound.models.config import model_from
from parkade.compound.models.protocol import Model
from parkade.compound.network import NetworkError, Operator
from parkade.compound.network.binding import Names, bind
from parkade.compound.network.digest import network_digest
from parkade.compound.run.budget import Budget
from parkade.compound.run.recording import RESULTS
from parkade.compound.run.results import Result
from parkade.compound.run.running import Settings, Summary, run
from parkade.compound.values import Question
from parkade.compound.verify.exact import multiple_choice

GAIN = "gain, points (95 %)"


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """One subject, or all: shares of right answers, and their difference."""

    subject: str
    questions: int
    one_call: float
    network: float
    #: From −1 to 1, with a 95 % interval.
    gain: Measure


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What both networks did; `version` is that of its JSON form."""

    version: int
    model: str
    k: int
    #: The whole first, then the subjects by their names.
    rows: tuple[Subject, ...]
    #: Subjects whose interval excludes 0, and how many would if nothing had changed.
    distinct: int
    distinct_by_chance: float
    #: Questions with an accepted answer, and how many of these answers are right.
    accepted: int
    accepted_right: int
    calls: int
    cost_micros: int
    #: Where the subjects come from.
    subjects: str


class Asking:
    """Runs networks over the same questions in one folder, with one model and one budget."""

    def __init__(
        self, model: Model, questions: Sequence[Question], out: Path, budget: Budget
    ) -> None:
        self._names = Names(models={networks.MODEL: model})
        self._questions = questions
        self._out = out
        self._settings = Settings(budget=budget)
        self.last: Summary | None = None

    def results(self, network: Operator) -> dict[str, Result]:
        """The result of every question by its id; SystemExit if some have none."""
        self.last = run(
            network, self._questions, names=self._names, out=self._out, settings=self._settings
        )
        digest = network_digest(bind(network, self._names))
        found = {}
        for line in (self._out / RESULTS).read_bytes().splitlines():
            result = msgspec.json.decode(line, type=Result)
            if result.network == digest:
                found[result.id] = result
        lacking = [each.id for each in self._questions if each.id not in found]
        if lacking:
            why = "the budget is spent" if self.last.is_budget_spent else "calls failed"
            raise SystemExit(
                f"error: {len(lacking)} questions have no result ({why}); "
                "run the same command again, with a larger --budget if it is spent"
            )
        return {each.id: found[each.id] for each in self._questions}


def compare(asking: Asking, questions: Sequence[Question], args: argparse.Namespace) -> Report:
    """Both networks over all questions, and their difference in each subject."""
    before = asking.results(networks.single(args.k, args.temperature))
    after = asking.results(networks.verified(args.k, args.temperature))
    by_id = {each.id: each for each in questions}
    named, source = _subjects(asking, questions, args)
    found = gains(_outcomes(before, by_id), _outcomes(after, by_id), named)
    assert asking.last is not None
    accepted = [result for result in after.values() if result.accepted]
    return Report(
        version=1,
        model=args.model or str(args.recorded),
        k=args.k,
        rows=tuple(_subject(row) for row in found.rows),
        distinct=found.distinct,
        distinct_by_chance=found.distinct_by_chance,
        accepted=len(accepted),
        accepted_right=sum(_is_right(by_id[each.id], each.answer) for each in accepted),
        calls=asking.last.spent.calls,
        cost_micros=asking.last.spent.micros,
        subjects=source,
    )


def _subjects(
    asking: Asking, questions: Sequence[Question], args: argparse.Namespace
) -> tuple[dict[str, str], str]:
    if args.subjects is not None:
        return groups(list(questions), subjects_of(args.subjects)), str(args.subjects)
    if any(each.fields["subject"] for each in questions):
        return groups(list(questions), {}), "the questions"
    told = asking.results(networks.naming())
    named = {each: read_subject(result.answer or "") for each, result in told.items()}
    return named, "the model"


def _subject(row: Gain) -> Subject:
    return Subject(
        subject=row.group,
        questions=row.questions,
        one_call=row.before,
        network=row.after,
        gain=row.gain,
    )


def _outcomes(
    results: Mapping[str, Result], questions: Mapping[str, Question]
) -> list[CandidateOutcome]:
    """Each answer, right or not; an answer that names no letter is wrong."""
    return [
        CandidateOutcome(question=result.id, is_correct=_is_right(questions[result.id], text))
        for result in results.values()
        for text in (result.candidates or (result.answer,))
    ]


def _is_right(question: Question, text: str | None) -> bool:
    return text is not None and multiple_choice().judge(question, text).is_accepted


def table(report: Report) -> str:
    """The report as text, the subject with the largest gain first."""
    whole, *rows = report.rows
    rows.sort(key=lambda row: -row.gain.value)
    beyond = f"{report.distinct} subjects differ beyond chance at 95 %"
    lines = [
        f"{'subject':<18}{'questions':>10}{'one call':>10}{'network':>9}{GAIN:>24}",
        *(_line(row) for row in rows),
        _line(whole),
        "",
        f"model {report.model}, K = {report.k}; subjects from {report.subjects}",
        f"accepted: {report.accepted:,} answers, {report.accepted_right:,} of them right",
        f"{beyond}; {report.distinct_by_chance:.1f} would if nothing had changed",
        f"{report.calls:,} calls, {report.cost_micros / 1e6:.4f} in money",
    ]
    return "\n".join(lines)


def _line(row: Subject) -> str:
    low, value, high = (100 * each for each in (row.gain.low, row.gain.value, row.gain.high))
    gain = f"{value:+.1f} ({low:+.1f} to {high:+.1f})"
    shares = f"{100 * row.one_call:>10.1f}{100 * row.network:>9.1f}"
    return f"{row.subject:<18}{row.questions:>10,}{shares}{gain:>24}"


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("questions", type=Path, help="JSON lines: id, prompt, options, target")
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument("--url", help="of an OpenAI-compatible server, with /v1")
    model.add_argument("--recorded", type=Path, help="answers from a file, in place of a server")
    parser.add_argument("--model", help="the name that the server knows")
    parser.add_argument("--key-env", help="name of the variable with the key")
    parser.add_argument("--price", help="a model of Parkade's table of prices, for --budget")
    parser.add_argument("--budget", help="most money in all, like 5.00")
    parser.add_argument("--out", type=Path, default=Path("build/mmlu"))
    parser.add_argument("--subjects", type=Path, help="JSON lines: id, subject")
    parser.add_argument("--limit", type=int, help="only the first so many questions")
    parser.add_argument("-k", type=int, default=3)
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--max-tokens", type=int, default=1_024)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(words)
    if args.url is not None and args.model is None:
        parser.error("--url needs --model")
    return args


def model_of(args: argparse.Namespace) -> Model:
    """The model that the command line names; NetworkError says what is wrong."""
    given: dict[str, Any] = {"max_tokens": args.max_tokens}
    if args.recorded is not None:
        given["recorded"] = str(args.recorded.resolve())
    else:
        given |= {"url": args.url, "model": args.model}
        given |= {} if args.key_env is None else {"key_env": args.key_env}
    if args.price is not None:
        given["price"] = args.price
    return model_from(networks.MODEL, given, _no_function, Path())


def _no_function(name: str) -> Any:
    raise NetworkError(f"there is no function {name!r}")


def main(words: Sequence[str] | None = None) -> None:
    """Ask, compare, print."""
    args = arguments(words)
    try:
        questions = read(args.questions, args.limit)
        budget = Budget(micros=None if args.budget is None else micros_of(args.budget))
        report = compare(Asking(model_of(args), questions, args.out, budget), questions, args)
    except (BadRow, NetworkError, OSError, ValueError) as error:
        raise SystemExit(f"error: {error}") from None
    print(msgspec.json.encode(report).decode() if args.json else table(report))


if __name__ == "__main__":
    main()
