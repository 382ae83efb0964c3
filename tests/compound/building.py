"""Questions, models and runs for the tests of compound."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from parkade.compound.models.local import LocalModel
from parkade.compound.models.protocol import Model, Price, RateLimits
from parkade.compound.network import Operator
from parkade.compound.network.binding import Names, bind
from parkade.compound.run.given import read
from parkade.compound.run.machine import Machine
from parkade.compound.run.orders import Answer, Apply, Ask, Check, Drop
from parkade.compound.run.results import Result
from parkade.compound.run.running import Settings, Summary, Watch, run_async
from parkade.compound.run.steps import steps_of
from parkade.compound.values import Call, Completion, Question, Usage, Verdict

PRICE = Price(input_micros_per_million=1_000_000, output_micros_per_million=2_000_000)


def ask(number: int = 1, **fields: Any) -> Question:
    return Question(id=f"q{number}", prompt=f"question {number}", fields=fields)


def answers(*texts: str) -> LocalModel:
    """A model whose sample i is the i-th text, round and round."""
    return LocalModel("answers", lambda call: texts[call.sample % len(texts)])


def answering(function: Callable[[Call], str], name: str = "m", **more: Any) -> LocalModel:
    return LocalModel(name, function, **more)


def priced(
    function: Callable[[Call], tuple[str, int, int]], *, price: Price = PRICE, **limits: Any
) -> LocalModel:
    """A model that says its tokens: function gives text, input tokens, output tokens."""

    def complete(call: Call) -> Completion:
        text, used, made = function(call)
        usage = Usage(input_tokens=used, output_tokens=made)
        return Completion(
            text=text,
            usage=usage,
            cost_micros=price.cost_micros(usage),
            finish="stop",
            latency_us=1,
        )

    return LocalModel("priced", complete, price=price, limits=RateLimits(**limits))


def names(models: Mapping[str, Model], **more: Any) -> Names:
    return Names(models=models, **more)


def run_network(
    network: Operator,
    questions: Iterable[Question],
    known: Names,
    out: Path,
    settings: Settings | None = None,
) -> tuple[Summary, dict[str, Result]]:
    """The summary, and all results by question."""
    results: dict[str, Result] = {}

    def keep(result: Result) -> None:
        results[result.id] = result

    summary = asyncio.run(
        run_async(
            network,
            questions,
            names=known,
            out=out,
            settings=settings,
            watch=Watch(on_result=keep),
        )
    )
    return summary, results


class Driver:
    """Drives one machine by hand: completes asks in order, checks at once, counts everything."""

    def __init__(
        self, network: Operator, known: Names, question: Question, *, width: int = 16
    ) -> None:
        self.models = known.models
        self.machine = Machine(bind(network, known), question, steps_of, width)
        self.asked: list[Call] = []
        self.dropped: list[int] = []
        self.most_in_flight = 0
        self._flying: dict[int, Call] = {}

    def run(self, *, last_first: bool = False) -> Answer:
        self.machine.start()
        while self.machine.answer is None:
            self._take()
            if self._flying:
                ticket = (max if last_first else min)(self._flying)
                self._complete(ticket, self._flying.pop(ticket))
            elif not self.machine.orders and self.machine.answer is None:
                raise AssertionError("the machine waits for nothing")
        self._take()
        assert not self._flying
        return self.machine.answer

    def _take(self) -> None:
        while self.machine.orders:
            orders, self.machine.orders = self.machine.orders, []
            for order in orders:
                match order:
                    case Ask(ticket=ticket, call=call):
                        self.asked.append(call)
                        self._flying[ticket] = call
                        self.most_in_flight = max(self.most_in_flight, len(self._flying))
                    case Check(ticket=ticket, verifier=verifier, candidate=candidate):
                        said = verifier(self.machine.question, candidate)
                        verdict = said if isinstance(said, Verdict) else Verdict(is_accepted=said)
                        self.machine.tell(ticket, verdict)
                    case Apply(ticket=ticket, use=use, function=function, arguments=arguments):
                        self.machine.tell(ticket, read(use, function, function(*arguments)))
                    case Drop(ticket=ticket):
                        self.dropped.append(ticket)
                        self._flying.pop(ticket, None)

    def _complete(self, ticket: int, call: Call) -> None:
        self.models[call.model].start(call, lambda told: self.machine.tell(ticket, told))


def texts(answer: Answer) -> list[str]:
    return [item.candidate.text for item in answer.items]


def prompt(call: Call) -> str:
    return str(msgspec.json.decode(call.body)["messages"][-1]["content"])
