"""A server that adds text to prompts passes a budget by its first calls only, and it is told."""

import asyncio
from pathlib import Path

import pytest

from parkade.compound.models.openai import OpenAIModel
from parkade.compound.models.protocol import (
    PLAIN_BOUNDS,
    Cancel,
    Done,
    Failure,
    FailureKind,
    Price,
    RateLimits,
    TokenBounds,
)
from parkade.compound.network import Generate
from parkade.compound.run.added_text import ROOM, AddedText
from parkade.compound.run.budget import Budget
from parkade.compound.run.running import Settings, Summary, run_async
from parkade.compound.values import Call, Completion, Usage, call_key
from tests.compound.building import answers, ask, names, priced, run_network
from tests.compound.server import Asked, completion, reply, scripted

PRICE = Price(input_micros_per_million=1_000_000, output_micros_per_million=1_000_000)


def test_what_a_server_adds_to_prompts_is_reserved_once_it_was_heard(tmp_path: Path) -> None:
    """It adds 500 tokens; without learning, a call would start for each 100 that are left."""

    def adding(call: Call) -> tuple[str, int, int]:
        assert call.most_input_tokens is not None
        return "x", call.most_input_tokens + 500, 10

    known = names({"m": priced(adding, concurrency=1)})
    settings = Settings(budget=Budget(tokens=3_000))
    questions = [ask(number) for number in range(20)]
    summary, _ = run_network(Generate("m", max_tokens=10), questions, known, tmp_path, settings)
    assert summary.is_budget_spent
    assert summary.calls == 4
    assert summary.overrun.tokens == 500
    assert summary.spent.tokens <= 3_000


def asked_of_a_server(
    out: Path, budget: Budget, *, adds: int = 500, bounds: TokenBounds = PLAIN_BOUNDS
) -> tuple[Summary, int]:
    """The summary, and how many calls were in flight at most before the first was answered."""
    first_answered: list[int] = []

    async def go() -> Summary:
        async def script(asked: Asked) -> bytes:
            # All that start at once have arrived when the loop has nothing else to do for a while.
            seen = -1
            while seen != len(server.asked) and not first_answered:
                seen = len(server.asked)
                await asyncio.sleep(0.05)
            first_answered.append(len(server.asked))
            return reply(completion("x", usage=(len(asked.raw) + adds, 10)))

        async with scripted(script) as server:
            model = OpenAIModel(
                "m", (server.url,), price=PRICE, bounds=bounds, limits=RateLimits(concurrency=8)
            )
            return await run_async(
                Generate("m", max_tokens=10),
                [ask(number) for number in range(60)],
                names=names({"m": model}),
                out=out,
                settings=Settings(budget=budget),
            )

    return asyncio.run(go()), first_answered[0]


@pytest.mark.parametrize(("limit", "at_first"), [(1_500, 1), (3_000, 2), (5_000, 4), (40_000, 8)])
@pytest.mark.parametrize("unit", ["tokens", "micros"])
def test_no_template_within_the_room_passes_a_budget_with_calls_side_by_side(
    tmp_path: Path, unit: str, limit: int, at_first: int
) -> None:
    """Eight at once would take 4,900 tokens of any budget before the first is heard of."""
    summary, begun = asked_of_a_server(tmp_path, Budget(**{unit: limit}))
    assert begun == at_first
    assert getattr(summary.spent, unit) <= limit
    assert getattr(summary.doubtful, unit) == 0
    # What is left holds no further call.
    assert summary.calls == 60 or limit - getattr(summary.spent, unit) < 620


def test_one_call_passes_a_budget_that_holds_not_even_its_room(tmp_path: Path) -> None:
    summary, begun = asked_of_a_server(tmp_path, Budget(tokens=900), adds=5_000)
    assert (begun, summary.calls) == (1, 1)
    assert summary.overrun.tokens == 5_000


def test_a_template_that_is_said_needs_no_hearing(tmp_path: Path) -> None:
    bounds = TokenBounds(template_tokens=500)
    summary, begun = asked_of_a_server(tmp_path, Budget(tokens=5_000), bounds=bounds)
    assert begun == 8
    assert summary.spent.tokens <= 5_000


class _Gathering:
    """Refuses its first ten calls, and answers no other one before four are with it at once."""

    identity = "m"
    price: Price | None = PRICE
    max_output_tokens: int | None = None
    bounds = PLAIN_BOUNDS
    limits = RateLimits(concurrency=8)

    def __init__(self) -> None:
        self.refused = 0
        self.most = 0
        self._held: list[Done] = []

    def start(self, call: Call, done: Done) -> Cancel:
        if self.refused < 10:
            self.refused += 1
            done(Failure(kind=FailureKind.REFUSED, message="not this one"))
            return lambda: False
        self._held.append(done)
        self.most = max(self.most, len(self._held))
        if self.most >= 4:
            asyncio.get_running_loop().call_soon(self._answer_all)
        return lambda: False

    async def close(self) -> None:
        """Nothing is kept."""

    def _answer_all(self) -> None:
        held, self._held = self._held, []
        usage = Usage(input_tokens=100, output_tokens=1)
        for done in held:
            done(Completion(text="x", usage=usage, cost_micros=101, finish="stop", latency_us=1))


def test_calls_that_failed_before_the_first_report_leave_no_room_taken(tmp_path: Path) -> None:
    """The room of ten calls is more than the budget: counted on, they would let one start."""
    model = _Gathering()

    async def go() -> Summary:
        async with asyncio.timeout(60):
            return await run_async(
                Generate("m", max_tokens=10),
                [ask(number) for number in range(14)],
                names=names({"m": model}),
                out=tmp_path,
                settings=Settings(budget=Budget(tokens=5_000)),
            )

    summary = asyncio.run(go())
    assert (model.refused, model.most) == (10, 4)
    assert (summary.calls, summary.failed) == (4, 10)


def test_what_was_heard_in_one_part_is_known_in_the_next() -> None:
    added, model = AddedText(), OpenAIModel("m", ("http://127.0.0.1:9",))
    call = Call(
        model="m",
        kind="chat",
        body=b"{}",
        sample=0,
        key=call_key(b"{}", 0),
        most_input_tokens=100,
        most_output_tokens=1,
    )
    assert [added.room("m", model, in_flight) for in_flight in (0, 1, 2, 0)] == [
        ROOM, 2 * ROOM, 3 * ROOM, ROOM
    ]  # fmt: skip
    assert added.heard(call, Usage(input_tokens=130, output_tokens=1))
    assert not added.heard(call, Usage(input_tokens=90, output_tokens=1))
    assert (added.room("m", model, 1), added.most("m")) == (0, 30)
    assert added.room("f", answers("x"), 1) == 0
