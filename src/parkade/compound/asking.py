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
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from parkade.compound.amounts import micros_of
from parkade.compound.loading import Loaded, load, loaded_from
from parkade.compound.network import NetworkError, Operator
from parkade.compound.network.binding import bind
from parkade.compound.network.digest import network_digest
from parkade.compound.network.fields import check_names
from parkade.compound.questions import question_of
from parkade.compound.run.budget import Budget
from parkade.compound.run.loops import fast_loop
from parkade.compound.run.outages import PATIENCE_S
from parkade.compound.run.results import Result
from parkade.compound.run.running import (
    RESULTS,
    Settings,
    Summary,
    Watch,
    run_async,
)
from parkade.compound.values import Question, question_digest

#: Hears what a user should know at once, such as that a server is not reached.
LOG = logging.getLogger("parkade.compound")
#: An operator, the compact notation, plain data as in YAML, or the path of a network file.
Network: TypeAlias = Operator | str | Path | list[Any] | dict[str, Any]
#: A prompt, a row as in a file of questions, or a Question.
Asked: TypeAlias = str | Mapping[str, Any] | Question


class Answers:
    """The results of the questions that have one, in the order of the questions."""

    def __init__(self, results: tuple[Result, ...], left: tuple[str, ...], summary: Summary):
        self.results = results
        #: Ids of questions that the budget left without a result.
        self.left = left
        self.summary = summary
        self._by_id = {result.id: result for result in results}

    def __len__(self) -> int:
        return len(self.results)

    def __iter__(self) -> Iterator[Result]:
        return iter(self.results)

    def __getitem__(self, which: int | str) -> Result:
        """By place, or by the id of its question."""
        return self._by_id[which] if isinstance(which, str) else self.results[which]

    @property
    def texts(self) -> list[str | None]:
        """The answers alone; None where a network abstained or failed."""
        return [result.answer for result in self.results]


class AskOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What `ask` may be told beside network, questions and names."""

    #: A folder: with one, the same call goes on where it was, and `show` and the like read it.
    out: Path | None = None
    #: Money such as "0.50", or a whole Budget.
    budget: Budget | str | None = None
    #: Most calls in flight for one question.
    width: int = 16
    #: A model whose calls fail for so many seconds, and none is answered, ends the run.
    patience_s: float = PATIENCE_S
    on_result: Callable[[Result], None] | None = None


def ask(
    network: Network,
    questions: Asked | Iterable[Asked],
    *,
    models: Mapping[str, Any] | None = None,
    verifiers: Mapping[str, Any] | None = None,
    functions: Mapping[str, Any] | None = None,
    **options: Any,
) -> Answers:
    """The network's answers; `options` are the fields of `AskOptions`.

    Works in a notebook too: where a loop runs already, it runs in a thread of its own. Raises what
    `run_async` does, NetworkError before the first call if a template or a verifier names a field
    that no question has, and ValueError for a row without a prompt or two rows of one id.
    """
    given = {"models": models, "verifiers": verifiers, "functions": functions}
    work = ask_async(network, questions, **given, **options)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _run(work)
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(_run, work).result()


async def ask_async(
    network: Network,
    questions: Asked | Iterable[Asked],
    *,
    models: Mapping[str, Any] | None = None,
    verifiers: Mapping[str, Any] | None = None,
    functions: Mapping[str, Any] | None = None,
    **options: Any,
) -> Answers:
    """As `ask`, for programs with a loop of their own."""
    known = [field.name for field in msgspec.structs.fields(AskOptions)]
    if unknown := sorted(set(options) - set(known)):
        raise TypeError(f"ask has no option {unknown[0]!r}; there are: {', '.join(known)}")
    chosen = AskOptions(**options)
    loaded = _loaded(network, models or {}, verifiers or {}, functions or {})
    asked = questions_of(questions)
    bound = bind(loaded.network, loaded.names)
    check_names(bound, asked)
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
            budget=_budget(chosen.budget),
            width=chosen.width,
            server=loaded.server,
            patience_s=chosen.patience_s,
        ),
        watch=Watch(on_result=keep, on_notice=LOG.warning),
    )
    wanted = {question_digest(question): question.id for question in asked}
    if summary.skipped and chosen.out is not None:
        found = _done_before(chosen.out / RESULTS, network_digest(bound)) | found
    results = tuple(found[digest] for digest in wanted if digest in found)
    left = tuple(name for digest, name in wanted.items() if digest not in found)
    return Answers(results, left, summary)


def _run(work: Coroutine[Any, Any, Answers]) -> Answers:
    with asyncio.Runner(loop_factory=fast_loop()) as runner:
        return runner.run(work)


def _loaded(
    network: Network,
    models: Mapping[str, Any],
    verifiers: Mapping[str, Any],
    functions: Mapping[str, Any],
) -> Loaded:
    if not isinstance(network, Path):
        return loaded_from(network, models, verifiers, functions)
    if models or verifiers or functions:
        raise NetworkError(f"{network} says itself what its names mean; pass no names beside it")
    return load(network)


def questions_of(given: Asked | Iterable[Asked]) -> list[Question]:
    """The questions of what `ask` may be given; ValueError for one without a prompt, or two of an
    id."""
    rows = [given] if isinstance(given, (str, Mapping, Question)) else list(given)
    asked = [_question(row, number) for number, row in enumerate(rows, start=1)]
    seen: set[str] = set()
    for question in asked:
        if question.id in seen:
            raise ValueError(f"two questions have the id {question.id!r}; each needs its own")
        seen.add(question.id)
    return asked


def _question(row: Asked, number: int) -> Question:
    if isinstance(row, Question):
        return row
    if isinstance(row, str):
        return Question(id=str(number), prompt=row)
    try:
        return question_of(dict(row), number)
    except ValueError as error:
        raise ValueError(f"question {number}: {error}") from None


def _budget(given: Budget | str | None) -> Budget:
    if given is None:
        return Budget()
    if isinstance(given, Budget):
        return given
    try:
        return Budget(micros=micros_of(given))
    except ValueError as error:
        raise NetworkError(f"budget: {error}") from None


def _done_before(path: Path, network: str) -> dict[str, Result]:
    """Results that earlier starts of the network left, by question; of several the last counts."""
    decode = msgspec.json.Decoder(Result).decode
    with path.open("rb") as file:
        results = (decode(line) for line in file)
        return {result.question: result for result in results if result.network == network}
