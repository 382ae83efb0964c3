"""Other programs' clients beside ours against the same server, in one run.

    python benchmarks/compound_peers.py THEIR/python [ANOTHER/python …] [--calls 4000]

Each client runs in a process of its own and asks a server that answers at once (`compound_server`)
the same short question so many times: what is measured is the client's own work. The others run
with the first Python given that has them (their requirements exclude each other, so `make
compound-clients` makes two environments); one that is nowhere is left out, and said so. Imports are
not counted. `ours` is a whole run of Parkade with
journal and results, under a budget in money.
"""

import argparse
import asyncio
import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any

QUESTION = "What is 6 times 7?"
MISSING = 3
#: Client, and its calls as a share of those asked for: the slow ones would take minutes.
CLIENTS: tuple[tuple[str, float], ...] = (
    ("aiohttp", 2.0),
    ("dspy", 0.5),
    ("openai", 0.5),
    ("httpx", 0.5),
    ("litellm", 0.25),
    ("curator", 0.25),
    ("inspect", 0.1),
)
PATIENCE_S = 900.0

Work = Callable[[], Any]


def main() -> None:
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("python", nargs="+", help="Pythons that have the other clients")
    parser.add_argument("--calls", type=int, default=4_000)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--only", nargs="*", help="some clients only")
    asked = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from benchmarks.compound_calls import measured, serving

    print(f"{asked.connections} connections, load {os.getloadavg()[0]:.1f} at the start")
    print(f"{'client':<24}{'calls':>8}{'calls/s':>10}{'CPU a call, µs':>16}{'peak, MB':>10}")
    with serving() as url:
        ours = measured(url, "budget", 25 * asked.calls, asked.connections)
        assert ours is not None
        _print("ours", ours)
        for name, share in CLIENTS:
            if asked.only and name not in asked.only:
                continue
            calls = max(asked.connections, int(share * asked.calls))
            told: dict[str, Any] | str = "left out: not installed"
            for python in asked.python:
                if isinstance(told, str):
                    told = _peer(str(Path(python).absolute()), name, calls, asked.connections, url)
            if isinstance(told, str):
                print(f"{name:<24}{told}")
            else:
                _print(f"{name} {told['version']}", told)
    sys.stdout.flush()


def _print(name: str, told: dict[str, Any]) -> None:
    rate, cpu, peak = told["rate"], told["cpu_us"], told["peak_mb"]
    print(f"{name:<24}{told['calls']:>8,.0f}{rate:>10,.0f}{cpu:>16,.0f}{peak:>10,.0f}", flush=True)


def _peer(python: str, client: str, calls: int, connections: int, url: str) -> dict[str, Any] | str:
    """What one client did, or why it did nothing."""
    command = [python, __file__, "--peer", client, str(calls), str(connections), url]
    with tempfile.TemporaryDirectory(prefix="parkade-peers-") as folder:
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
            env={**os.environ, "HOME": folder, "OPENAI_API_KEY": "none", **QUIET},
        )
    if done.returncode == MISSING:
        return "left out: not installed"
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        return f"left out: it failed ({last[:120]})"
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


QUIET = {
    "TELEMETRY_ENABLED": "false",
    "CURATOR_VIEWER": "0",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "INSPECT_DISPLAY": "none",
    "HF_HUB_OFFLINE": "1",
    "TQDM_DISABLE": "1",
}


# ---------------------------------------------------------------- in the other environment


def peer(client: str, calls: int, connections: int, url: str) -> None:
    """Import, then ask, then tell."""
    try:
        version, work = PEERS[client](calls, connections, url)
    except ImportError:
        raise SystemExit(MISSING) from None
    used, began = _cpu_s(), time.perf_counter()
    work()
    wall = time.perf_counter() - began
    told = {
        "version": version,
        "calls": calls,
        "rate": calls / wall,
        "cpu_us": (_cpu_s() - used) / calls * 1e6,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(told), flush=True)
    # Some leave threads behind that would hold the process.
    os._exit(0)


def _cpu_s() -> float:
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(sum(resource.getrusage(kind)[:2]) for kind in kinds)


async def _many(one: Callable[[], Awaitable[Any]], calls: int, connections: int) -> None:
    async def worker(count: int) -> None:
        for _ in range(count):
            await one()

    each, more = divmod(calls, connections)
    await asyncio.gather(*(worker(each + (n < more)) for n in range(connections)))


def _version(package: str) -> str:
    return metadata.version(package)


def _library(name: str) -> Any:
    """A library that this project does not depend on."""
    return importlib.import_module(name)


def _messages() -> list[Any]:
    return [{"role": "user", "content": QUESTION}]


def _openai(calls: int, connections: int, url: str) -> tuple[str, Work]:
    openai = _library("openai")

    async def work() -> None:
        async with openai.AsyncOpenAI(base_url=url, api_key="none") as client:
            create = client.chat.completions.create
            await _many(lambda: create(model="mock", messages=_messages()), calls, connections)

    return _version("openai"), lambda: asyncio.run(work())


def _httpx(calls: int, connections: int, url: str) -> tuple[str, Work]:
    httpx = _library("httpx")

    async def work() -> None:
        limits = httpx.Limits(max_connections=connections)
        body = {"model": "mock", "messages": _messages()}
        async with httpx.AsyncClient(limits=limits) as client:

            async def one() -> None:
                (await client.post(f"{url}/chat/completions", json=body)).json()

            await _many(one, calls, connections)

    return _version("httpx"), lambda: asyncio.run(work())


def _aiohttp(calls: int, connections: int, url: str) -> tuple[str, Work]:
    aiohttp = _library("aiohttp")

    async def work() -> None:
        body = {"model": "mock", "messages": _messages()}
        connector = aiohttp.TCPConnector(limit=connections)
        async with aiohttp.ClientSession(connector=connector) as session:

            async def one() -> None:
                async with session.post(f"{url}/chat/completions", json=body) as response:
                    await response.json()

            await _many(one, calls, connections)

    return _version("aiohttp"), lambda: asyncio.run(work())


def _litellm(calls: int, connections: int, url: str) -> tuple[str, Work]:
    litellm = _library("litellm")

    async def work() -> None:
        async def one() -> None:
            await litellm.acompletion(
                model="openai/mock", api_base=url, api_key="none", messages=_messages()
            )

        await _many(one, calls, connections)

    return _version("litellm"), lambda: asyncio.run(work())


def _dspy(calls: int, connections: int, url: str) -> tuple[str, Work]:
    dspy = _library("dspy")

    model = dspy.LM("openai/mock", api_base=url, api_key="none", cache=False)

    def work() -> None:
        with ThreadPoolExecutor(connections) as pool:
            for told in pool.map(lambda _: model(QUESTION), range(calls)):
                assert told

    return _version("dspy"), work


def _inspect(calls: int, connections: int, url: str) -> tuple[str, Work]:
    os.environ["OPENAI_BASE_URL"] = url
    inspect = _library("inspect_ai")
    sample = _library("inspect_ai.dataset").Sample
    samples = [sample(input=QUESTION, target="42") for _ in range(calls)]
    solver = _library("inspect_ai.solver").generate()
    scorer = _library("inspect_ai.scorer").includes()

    def work() -> None:
        (log,) = inspect.eval(
            inspect.Task(dataset=samples, solver=solver, scorer=scorer),
            model="openai/mock",
            model_args={"responses_api": False},
            max_connections=connections,
            max_samples=connections,
            log_dir="logs",
            display="none",
        )
        assert log.status == "success", log.error

    return _version("inspect-ai"), work


def _curator(calls: int, connections: int, url: str) -> tuple[str, Work]:
    os.environ["CURATOR_CACHE_DIR"] = str(Path.cwd())
    # It counts tokens with tiktoken, which downloads the encoding cl100k_base; litellm, which it
    # requires, brings that file along under the name that tiktoken gives a download.
    encodings = Path(_library("litellm").__file__).parent / "litellm_core_utils" / "tokenizers"
    os.environ["TIKTOKEN_CACHE_DIR"] = str(encodings)
    curator = _library("bespokelabs.curator")

    def prompt(_: Any, row: dict[str, Any]) -> str:
        return str(row["question"])

    def parse(_: Any, row: dict[str, Any], response: str) -> dict[str, Any]:
        return {**row, "answer": response}

    # A subclass of the library's class, which says what to ask and what to keep.
    asker_type = type("Asker", (curator.LLM,), {"prompt": prompt, "parse": parse})
    asker = asker_type(
        model_name="mock",
        backend="openai",
        backend_params={
            "base_url": url,
            "api_key": "none",
            "max_requests_per_minute": 10_000_000,
            "max_tokens_per_minute": 1_000_000_000,
            "max_concurrent_requests": connections,
        },
    )
    rows = [{"question": f"{QUESTION} ({n})"} for n in range(calls)]

    def work() -> None:
        asker(rows)

    return _version("bespokelabs-curator"), work


PEERS: dict[str, Callable[[int, int, str], tuple[str, Work]]] = {
    "openai": _openai,
    "httpx": _httpx,
    "aiohttp": _aiohttp,
    "litellm": _litellm,
    "dspy": _dspy,
    "inspect": _inspect,
    "curator": _curator,
}

if __name__ == "__main__":
    if sys.argv[1:2] == ["--peer"]:
        peer(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
    else:
        main()
