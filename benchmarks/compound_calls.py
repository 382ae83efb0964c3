"""How many model calls a second one core makes, and what a call costs, against a server at once.

The server (`compound_server`) runs in a process of its own and answers without delay. Each client
runs in a process of its own too, so that its memory is its own. `journal` is the whole of `parkade
compound run`: state machines, content addresses, journal and results; `budget` is the same under a
budget in money, which sets the worst case of each call aside. `resume` opens the journal and
results of a run of so many calls again; writing them is not measured. `factoring` draws so many
candidates from the trained generator of `examples/factoring`, 1,000 of each product, one a call,
and has each verified by a Python function; no server, one processor, numpy needed. The others only
post: our two ways of HTTP, and, where they are installed, aiohttp and the openai package.

    python benchmarks/run.py --only compound_calls
    python benchmarks/compound_calls.py journal 100000 512
"""

import asyncio
import contextlib
import functools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.figures import Figure, Kind

BODY = b'{"messages":[{"content":"What is 6 times 7?","role":"user"}],"model":"mock"}'
OF_ONE_PRODUCT = 1_000
#: Client, calls, connections.
FULL = (
    ("journal", 100_000, 64),
    ("journal", 100_000, 512),
    ("budget", 100_000, 64),
    ("budget", 100_000, 512),
    ("resume", 1_000_000, 0),
    ("factoring", 100_000, 0),
    ("posts", 60_000, 64),
    ("httpx", 3_000, 64),
    ("aiohttp", 15_000, 64),
    ("openai", 1_500, 64),
)
QUICK = (
    ("journal", 200, 64),
    ("journal", 200, 512),
    ("budget", 200, 64),
    ("budget", 200, 512),
    ("resume", 1_000, 0),
    ("factoring", 1_000, 0),
    ("posts", 200, 64),
    ("httpx", 100, 64),
)


@contextmanager
def serving() -> Iterator[str]:
    """The URL of a server that lives as long as the block."""
    script = Path(__file__).with_name("compound_server.py")
    with subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.stdin.close()


def figures(*, quick: bool) -> list[Figure]:
    """Everything of this file; clients that are not installed are left out."""
    made: list[Figure] = []
    with serving() as url:
        for client, calls, connections in QUICK if quick else FULL:
            told = measured(url, client, calls, connections)
            if told is not None and client == "resume":
                made += _resumed(told)
            elif told is not None:
                made += _figures(client, connections, told)
    return made


def measured(url: str, client: str, calls: int, connections: int) -> dict[str, float] | None:
    """One client in a process of its own."""
    command = [sys.executable, __file__, client, str(calls), str(connections), url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode == 3:
        return None
    assert done.returncode == 0, done.stderr
    told: dict[str, float] = json.loads(done.stdout)
    return told


def _figures(client: str, connections: int, told: dict[str, float]) -> list[Figure]:
    kind = Kind.DURABLE if client in ("journal", "budget", "factoring") else Kind.END_TO_END
    name = f"compound_calls.{client}_{connections}"
    what = f"{client}, {connections} connections, {told['calls']:.0f} calls"
    return [
        Figure(name=f"{name}_rate", kind=kind, unit="/s", values=(told["rate"],), what=what),
        Figure(name=f"{name}_cpu", kind=kind, unit="µs", values=(told["cpu_us"],), what=what),
        Figure(name=f"{name}_peak", kind=kind, unit="MB", values=(told["peak_mb"],), what=what),
    ]


def _resumed(told: dict[str, float]) -> list[Figure]:
    what = f"journal and results of {told['calls']:.0f} calls opened again"
    seconds = {"wall": told["calls"] / told["rate"], "cpu": told["cpu_us"] * told["calls"] / 1e6}
    made = [
        Figure(
            name=f"compound_calls.resume_{name}",
            kind=Kind.DURABLE,
            unit="s",
            values=(value,),
            what=what,
        )
        for name, value in seconds.items()
    ]
    peak = (told["peak_mb"],)
    name = "compound_calls.resume_peak"
    return [*made, Figure(name=name, kind=Kind.DURABLE, unit="MB", values=peak, what=what)]


# ---------------------------------------------------------------- clients


def journal(url: str, calls: int, connections: int) -> None:
    """A question a call, a journal line a call, a result a question."""
    _run(url, calls, connections, None)


def budget(url: str, calls: int, connections: int) -> None:
    """The same under a budget that lasts for all calls."""
    _run(url, calls, connections, 1_000 * calls)


def _run(url: str, calls: int, connections: int, micros: int | None) -> None:
    from parkade.compound.models.openai import OpenAIModel
    from parkade.compound.models.protocol import Price, RateLimits
    from parkade.compound.network import Generate
    from parkade.compound.network.binding import Names
    from parkade.compound.run.budget import Budget
    from parkade.compound.run.running import Settings, run
    from parkade.compound.values import Question

    model = OpenAIModel(
        "mock",
        (url,),
        price=Price(input_micros_per_million=150_000, output_micros_per_million=600_000),
        max_output_tokens=64,
        limits=RateLimits(concurrency=connections, initial=connections),
    )
    questions = (Question(id=str(n), prompt=f"What is {n} times 7?") for n in range(calls))
    with tempfile.TemporaryDirectory(prefix="parkade-bench-") as folder:
        names = Names(models={"m": model})
        settings = Settings(budget=Budget(micros=micros))
        summary = run(Generate("m"), questions, names=names, out=Path(folder), settings=settings)
    assert summary.answered == calls


def factoring(calls: int) -> None:
    """Draw, verify and journal, one candidate a call."""
    from examples.factoring.primes import PRIMES, all_products, split
    from examples.factoring.sample import PRODUCTS_AT_ONCE, draw_part, load
    from parkade.compound.models.local import LocalModel
    from parkade.compound.network import Generate, Verify
    from parkade.compound.network.binding import Names
    from parkade.compound.run.running import Settings, run
    from parkade.compound.values import Call, Candidate, Question

    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    products = split(all_products()).test
    numbers = products.n.tolist()[: max(1, calls // OF_ONE_PRODUCT)]
    weights = load(Path(__file__).parents[1] / "examples/factoring_network/weights.npz")
    drawn = functools.lru_cache(maxsize=2)(
        lambda part: draw_part(weights, products, part, OF_ONE_PRODUCT, 1)
    )
    places = {number: place for place, number in enumerate(numbers)}

    def guess(call: Call) -> str:
        place = places[int(json.loads(call.body)["messages"][-1]["content"])]
        one, other = drawn(place // PRODUCTS_AT_ONCE)
        at = place % PRODUCTS_AT_ONCE, call.sample
        return f"{PRIMES[one[at]]} {PRIMES[other[at]]}"

    def is_product(question: Question, candidate: Candidate) -> bool:
        one, _, other = candidate.text.partition(" ")
        return int(one) * int(other) == int(question.prompt)

    names = Names(models={"m": LocalModel("generator", guess)}, verifiers={"product": is_product})
    questions = (Question(id=str(number), prompt=str(number)) for number in numbers)
    network = Generate("m", n=OF_ONE_PRODUCT) >> Verify("product")
    with tempfile.TemporaryDirectory(prefix="parkade-bench-") as folder:
        summary = run(network, questions, names=names, out=Path(folder), settings=Settings())
    assert summary.calls == len(numbers) * OF_ONE_PRODUCT


def resume(folder: Path) -> None:
    """What a run reads before it goes on."""
    from parkade.compound.run.journal import Journal
    from parkade.compound.run.results import Results

    journal = Journal(folder / "journal.jsonl")
    results = Results(folder / "results.jsonl", "n")
    results.close()
    journal.close()


def _written(folder: Path, calls: int) -> None:
    """A journal and results as a run of one call a question leaves them."""
    import msgspec

    from parkade.compound.run.lines import FORMAT, CallLine, Header
    from parkade.compound.run.lines import VERSION as JOURNAL_VERSION
    from parkade.compound.run.results import VERSION, Result

    line = CallLine(
        key="", question="", node=0, model="m", sample=0, input=20, output=30, cost=21, us=90_000,
        finish="stop", text="The answer is 42. " * 8,
    )  # fmt: skip
    result = Result(
        v=VERSION, id="", answer=line.text, accepted=True, calls=1, cached=0, cost=21, input=20,
        output=30, us=90_000, question="", network="n", key="",
    )  # fmt: skip
    encode = msgspec.json.encode
    journal, results = folder / "journal.jsonl", folder / "results.jsonl"
    with journal.open("wb") as to, results.open("wb") as answers:
        to.write(encode(Header(format=FORMAT, version=JOURNAL_VERSION)) + b"\n")
        for number in range(calls):
            key, name = blake2b(b"%d" % number, digest_size=16).hexdigest(), str(number)
            told = msgspec.structs.replace(line, key=key, question=name)
            to.write(encode(told) + b"\n")
            answer = msgspec.structs.replace(result, id=name, question=key, key=key)
            answers.write(encode(answer) + b"\n")


def posts(url: str, calls: int, connections: int) -> None:
    """Our own HTTP without anything around it."""
    from parkade.compound.models.http import HttpExchange

    _exchange(lambda: HttpExchange(urlsplit(url), {}, 60.0), calls, connections)


def httpx(url: str, calls: int, connections: int) -> None:
    """httpx behind the same interface."""
    from parkade.compound.models.library import LibraryExchange

    origin = "{0.scheme}://{0.netloc}".format(urlsplit(url))
    _exchange(lambda: LibraryExchange(origin, {}, 60.0), calls, connections)


def _exchange(open_exchange: Callable[[], Any], calls: int, connections: int) -> None:
    async def work() -> None:
        exchange = open_exchange()
        loop = asyncio.get_running_loop()
        over = loop.create_future()
        left = [calls, calls]

        def begin() -> None:
            left[0] -= 1
            exchange.post("/v1/chat/completions", BODY, heard)

        def heard(outcome: Any) -> None:
            assert outcome.status == 200
            left[1] -= 1
            if left[0]:
                begin()
            elif not left[1]:
                over.set_result(None)

        for _ in range(min(calls, connections)):
            begin()
        await over
        await exchange.close()

    _fast(work())


def aiohttp(url: str, calls: int, connections: int) -> None:
    """aiohttp with its own tasks."""
    import aiohttp as library

    async def work() -> None:
        connector = library.TCPConnector(limit=connections)
        async with library.ClientSession(connector=connector) as session:

            async def one() -> None:
                async with session.post(f"{url}/chat/completions", data=BODY) as response:
                    await response.read()

            await _many(one, calls, connections)

    _fast(work())


def openai(url: str, calls: int, connections: int) -> None:
    """The openai package as it is."""
    import openai as library

    async def work() -> None:
        async with library.AsyncOpenAI(base_url=url, api_key="none") as client:

            async def one() -> None:
                await client.chat.completions.create(
                    model="mock", messages=[{"role": "user", "content": "What is 6 times 7?"}]
                )

            await _many(one, calls, connections)

    _fast(work())


async def _many(one: Callable[[], Any], calls: int, connections: int) -> None:
    async def worker(count: int) -> None:
        for _ in range(count):
            await one()

    each, more = divmod(calls, connections)
    await asyncio.gather(*(worker(each + (n < more)) for n in range(connections)))


def _fast(work: Any) -> None:
    from parkade.loops import fast_loop

    with asyncio.Runner(loop_factory=fast_loop()) as runner:
        runner.run(work)


CLIENTS: dict[str, Callable[[str, int, int], None]] = {
    "journal": journal,
    "budget": budget,
    "posts": posts,
    "httpx": httpx,
    "aiohttp": aiohttp,
    "openai": openai,
}


def main() -> None:
    client, calls, connections = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    if len(sys.argv) < 5:
        with serving() as url:
            print(measured(url, client, calls, connections))
        return
    with contextlib.ExitStack() as stack:
        if client == "resume":
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="parkade-bench-")))
            _written(folder, calls)
            work: Callable[[], None] = functools.partial(resume, folder)
        elif client == "factoring":
            work = functools.partial(factoring, calls)
        else:
            work = functools.partial(CLIENTS[client], sys.argv[4], calls, connections)
        print(json.dumps(_timed(work, calls)))


def _timed(work: Callable[[], None], calls: int) -> dict[str, float]:
    began, used = time.perf_counter(), time.process_time()
    try:
        work()
    except ImportError:
        raise SystemExit(3) from None
    return {
        "calls": calls,
        "rate": calls / (time.perf_counter() - began),
        "cpu_us": (time.process_time() - used) / calls * 1e6,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


if __name__ == "__main__":
    main()
