"""A call that no question wants any more is not sent again."""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from parkade.compound.models.protocol import (
    PLAIN_BOUNDS,
    Cancel,
    Done,
    Failure,
    FailureKind,
    Outcome,
    Price,
    RateLimits,
)
from parkade.compound.network import BestOf, Generate
from parkade.compound.network.binding import bind
from parkade.compound.run.budget import Account, Budget
from parkade.compound.run.engine import Engine
from parkade.compound.run.journal import Journal
from parkade.compound.run.limiter import backoff_us
from parkade.compound.values import Call, Completion, Question, Usage
from tests.compound.building import ask, names, prompt, run_network

BUSY = Failure(kind=FailureKind.UNAVAILABLE, message="503: busy")
OK = Completion(
    text="ok",
    usage=Usage(input_tokens=1, output_tokens=1),
    cost_micros=0,
    finish="stop",
    latency_us=1,
)


class TimedModel:
    """Answers when and what a function says: seconds and outcome."""

    identity = "timed"
    price: Price | None = None
    max_output_tokens: int | None = 10
    bounds = PLAIN_BOUNDS
    limits = RateLimits(concurrency=8)

    def __init__(self, answer: Callable[[Call, int], tuple[float, Outcome]]) -> None:
        self._answer = answer
        #: How often each prompt's sample was sent.
        self.sent: Counter[tuple[str, int]] = Counter()

    def start(self, call: Call, done: Done) -> Cancel:
        place = (prompt(call), call.sample)
        self.sent[place] += 1
        after_s, outcome = self._answer(call, self.sent[place])
        return asyncio.get_running_loop().call_later(after_s, done, outcome).cancel

    async def close(self) -> None:
        """Nothing is open."""


def test_a_call_in_back_off_is_not_sent_again_once_best_of_has_decided(tmp_path: Path) -> None:
    def answer(call: Call, attempt: int) -> tuple[float, Outcome]:
        if prompt(call) == "question 2":
            # The run is open until the failed call would have come back.
            return backoff_us(0, "f" * 8) / 1e6 + 0.1, OK
        return (0, BUSY) if (call.sample, attempt) == (1, 1) else (0.05, OK)

    model = TimedModel(answer)
    network = BestOf(Generate("m"), k=2, verify=lambda q, c: True)
    summary, _ = run_network(network, [ask(1), ask(2)], names({"m": model}), tmp_path)
    assert summary.answered == 2
    assert (model.sent["question 1", 0], model.sent["question 1", 1]) == (1, 1)


def test_a_failed_call_of_an_abandoned_question_is_not_sent_again(tmp_path: Path) -> None:
    heard: list[Done] = []
    was_asked = asyncio.Event()

    class Held(TimedModel):
        def start(self, call: Call, done: Done) -> Cancel:
            heard.append(done)
            was_asked.set()
            return lambda: None

    async def go() -> tuple[int, int]:
        bound = bind(Generate("m"), names({"m": Held(lambda call, attempt: (0, OK))}))
        journal = Journal(tmp_path / "journal.jsonl")
        account = Account(Budget(calls=9), journal.spent, journal.doubtful)
        engine = Engine(
            bound, journal, account, width=1, most_checks=1, answered=lambda run, answer: None
        )
        engine.open()
        run = engine.ask(Question(id="a", prompt="x"))
        await was_asked.wait()
        heard[0](BUSY)
        engine.abandon(run)
        for _ in range(3):
            await asyncio.sleep(0)
        waiting = engine.lanes["m"].waiting()
        await engine.close()
        journal.close()
        return waiting, account.reserved.calls

    assert asyncio.run(go()) == (0, 0)
