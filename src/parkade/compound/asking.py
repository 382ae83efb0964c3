"""Ask a network from Python: questions in, answers out, in one call.

    from parkade.compound.asking import ask

    small = {"url": "http://127.0.0.1:8000/v1", "model": "qwen2.5-7b-instruct", "max_tokens": 256}
    answers = ask("5E@small(t=0.8) >> M", ["What is 6 times 7?"], models={"small": small})
    print(answers[0].answer)

All answers are held in memory; for millions of questions `run.running` writes them to a folder and
holds none. Whatever `ask` is given is turned into what a network file would have said: a model may
be a map as in YAML, a function, or a `Model`.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeAlias, TypedDict, Unpack

import msgspec

from parkade.compound.amounts import micros_of
from parkade.compound.answered import AllFailed, Answers, left_result
from parkade.compound.loading import Loaded, load, loaded_from
from parkade.compound.network import NetworkError, Operator
from parkade.compound.network.binding import bind
from parkade.compound.network.digest import network_digest
from parkade.compound.network.notation import parse
from parkade.compound.network.question_faults import check_questions
from parkade.compound.questions import question_of, read_questions
from parkade.compound.run.budget import Budget
from parkade.compound.run.outages import PATIENCE_S
from parkade.compound.run.progressing import VerifierBroken
from parkade.compound.run.recording import RESULTS
from parkade.compound.run.results import Result
from parkade.compound.run.running import (
    Settings,
    Watch,
    run_async,
)
from parkade.compound.values import Question, question_digest
from parkade.loops import fast_loop

#: Hears what a user should know at once, such as that a server is not reached.
LOG = logging.getLogger("parkade.compound")
#: An operator, the compact notation, plain data as in YAML, or a network file: a `Path`, or a text
#: that names one.
Network: TypeAlias = Operator | str | Path | list[Any] | dict[str, Any]
#: A prompt, a row as in a file of questions, or a Question.
Asked: TypeAlias = str | Mapping[str, Any] | Question
#: One of them, several, or a file of questions: a `Path`, or a name that ends as one.
Questions: TypeAlias = Asked | Path | Iterable[Asked]

#: What a text that names a network file ends with.
FILES = (".yaml", ".yml", ".py")
#: What a text that names a file of questions ends with.
QUESTION_FILES = (".jsonl", ".jsonl.gz")
#: As `Settings` has it.
WIDTH = Settings().width


class AskOptions(TypedDict, total=False):
    """The keywords of `ask`, `ask_async` and `pilot`; None, where it may be, is as if left out."""

    #: By name: a map as in a network file, a function, or a Model.
    models: Mapping[str, Any] | None
    #: By name: a map or a text as in a network file, a function, or a Verifier.
    verifiers: Mapping[str, Any] | None
    #: By name: a function, or a text as in a network file.
    functions: Mapping[str, Any] | None
    #: A folder: with one, the same call goes on where it was, and `show` and the like read it.
    out: Path | str | None
    #: Money such as "0.50" or 0.5, or a whole Budget.
    budget: Budget | str | float | Decimal | None
    #: Most calls in flight for one question; 16 if left out.
    width: int
    #: A model whose calls fail for so many seconds, and none is answered, ends the run; 60 if
    #: left out.
    patience_s: float
    #: Hears each result as it comes.
    on_result: Callable[[Result], None] | None


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """How to ask, as values: what options without names mean."""

    out: Path | None
    budget: Budget
    width: int
    patience_s: float
    on_result: Callable[[Result], None] | None


def ask(network: Network, questions: Questions, **options: Unpack[AskOptions]) -> Answers:
    """The network's answers.

    `models`, `verifiers` and `functions` say what the network's names mean, each as a network file
    would, or by a Python value. `out` is a folder in which the run is kept and goes on; `budget` is
    the most money, as "0.50" or 0.5, or a `Budget`; `width` bounds the calls in flight for one
    question. A question that the budget leaves keeps its place among the answers, without one, and
    stands in `answers.left`. `patience_s` is for how long a server may answer nothing; `on_result`
    hears each result.

    Works in a notebook too: where a loop runs already, it runs in a thread of its own. Raises what
    `run_async` does (BudgetTooSmall before the first call if the budget holds not even one),
    AllFailed where something failed for each question (where others have an answer,
    `answers.failed` has those that failed), VerifierBroken where a verifier failed on each
    candidate, NetworkError before the first call if a template or a verifier names a field that a
    question lacks, and ValueError for a row without a prompt or two rows of one id.
    """
    return waited_for(ask_async(network, questions, **options))


async def ask_async(
    network: Network, questions: Questions, **options: Unpack[AskOptions]
) -> Answers:
    """As `ask`, for programs with a loop of their own."""
    chosen = chosen_of(options)
    return await answers_of(_loaded(network, options), questions_of(questions), chosen)


def chosen_of(options: AskOptions, *, beside: Iterable[str] = ()) -> Chosen:
    """What the options say; TypeError names one that does not exist, and all that do.

    `beside` are the further keywords of the function that was called.
    """
    known = AskOptions.__annotations__
    if unknown := sorted(set(options) - set(known)):
        names = ", ".join((*beside, *known))
        raise TypeError(f"there is no option {unknown[0]!r}; there are: {names}")
    out = options.get("out")
    return Chosen(
        out=None if out is None else Path(out),
        budget=_budget(options.get("budget")),
        width=options.get("width", WIDTH),
        patience_s=options.get("patience_s", PATIENCE_S),
        on_result=options.get("on_result"),
    )


def names_of(options: AskOptions) -> tuple[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]]:
    """Models, verifiers and functions as they were given."""
    return (
        options.get("models") or {},
        options.get("verifiers") or {},
        options.get("functions") or {},
    )


async def answers_of(loaded: Loaded, asked: list[Question], chosen: Chosen) -> Answers:
    """What a loaded network answers: the part that `ask` and `pilot` share."""
    bound = bind(loaded.network, loaded.names)
    check_questions(bound, asked)
    found: dict[str, Result] = {}

    def keep(result: Result) -> None:
        found[result.question] = result
        if chosen.on_result is not None:
            chosen.on_result(result)

    if chosen.out is not None:
        chosen.out.mkdir(parents=True, exist_ok=True)
    summary = await run_async(
        loaded.network,
        asked,
        names=loaded.names,
        out=chosen.out,
        settings=Settings(
            budget=chosen.budget,
            width=chosen.width,
            server=loaded.server,
            patience_s=chosen.patience_s,
        ),
        watch=Watch(on_result=keep, on_notice=LOG.warning),
    )
    wanted = {question_digest(question): question.id for question in asked}
    if summary.skipped and chosen.out is not None:
        found = _done_before(chosen.out / RESULTS, network_digest(bound)) | found
    network = network_digest(bound)
    results = tuple(
        found.get(digest) or left_result(name, digest, network) for digest, name in wanted.items()
    )
    left = tuple(name for digest, name in wanted.items() if digest not in found)
    answers = Answers(results, left, summary)
    if answers.failed and len(answers.failed) + len(left) == len(results):
        raise AllFailed(answers)
    if summary.broken and not summary.verdicts:
        verifier, _, why = summary.broken[0].reason.partition(": ")
        raise VerifierBroken(verifier, f"failed on every candidate ({why}): correct it")
    return answers


def waited_for(work: Coroutine[Any, Any, Answers]) -> Answers:
    """Run it to its end, in a thread of its own where a loop runs in this one."""
    if not _has_loop():
        return _run(work)
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(_run, work).result()


def _has_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _run(work: Coroutine[Any, Any, Answers]) -> Answers:
    with asyncio.Runner(loop_factory=fast_loop()) as runner:
        return runner.run(work)


def _loaded(network: Network, options: AskOptions) -> Loaded:
    names = names_of(options)
    file = file_of(network)
    if file is None:
        return loaded_from(network, *names)
    if any(names):
        raise NetworkError(f"{file} says itself what its names mean; pass no names beside it")
    return load(file)


def file_of(network: Network) -> Path | None:
    """The network file that is meant, if one is; NetworkError for a text that means two things."""
    if isinstance(network, Path):
        return network
    if not isinstance(network, str):
        return None
    ends_as_file = network.endswith(FILES)
    try:
        parse(network)
    except NetworkError:
        # With a name such as a file's, what is wrong with it is that it is not there.
        return Path(network) if ends_as_file or _is_file(network) else None
    if not _is_file(network):
        return None
    raise NetworkError(
        f"{network!r} is a network in the compact notation and the name of a file as well: "
        f"pass Path({network!r}) for the file, or rename it"
    )


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):
        # Longer than a name may be, or with a character that none holds.
        return False


def questions_of(given: Questions | None) -> list[Question]:
    """The questions of what `ask` may be given; ValueError for one without a prompt, or two of an
    id."""
    if (file := _file_of_questions(given)) is not None:
        return list(read_questions(file))
    if given is None or not isinstance(given, (str, Mapping, Question, Iterable)):
        raise TypeError(
            f"questions are a prompt, a row, a Question, a list of these, or the Path of a file, "
            f"not {given!r}"
        )
    rows = [given] if isinstance(given, (str, Mapping, Question)) else list(given)
    asked = [_question(row, number) for number, row in enumerate(rows, start=1)]
    seen: set[str] = set()
    for question in asked:
        if question.id in seen:
            raise ValueError(f"two questions have the id {question.id!r}; each needs its own")
        seen.add(question.id)
    return asked


def _file_of_questions(given: object) -> Path | None:
    """The file that is meant, if one is; a text with a space is a prompt."""
    if isinstance(given, Path):
        return given
    if isinstance(given, str) and given.endswith(QUESTION_FILES) and len(given.split()) == 1:
        return Path(given)
    return None


def _question(row: Asked, number: int) -> Question:
    if isinstance(row, Question):
        return row
    if isinstance(row, str):
        return Question(id=str(number), prompt=row)
    if not isinstance(row, Mapping):
        raise TypeError(f"question {number} is a prompt, a row or a Question, not {row!r}")
    try:
        return question_of(dict(row), number)
    except ValueError as error:
        raise ValueError(f"question {number}: {error}") from None


def _budget(given: Budget | str | float | Decimal | None) -> Budget:
    if given is None:
        return Budget()
    if isinstance(given, Budget):
        return given
    try:
        # A float is the amount that it is written as: 0.01 is one hundredth.
        return Budget(micros=micros_of(str(given)))
    except ValueError as error:
        raise NetworkError(f"budget: {error}") from None


def _done_before(path: Path, network: str) -> dict[str, Result]:
    """Results that earlier starts of the network left, by question; of several the last counts."""
    decode = msgspec.json.Decoder(Result).decode
    with path.open("rb") as file:
        results = (decode(line) for line in file)
        return {result.question: result for result in results if result.network == network}
