"""Before a network is served: whether the servers of its models answer.

Each server is asked once for its list of models (`GET …/models`), which costs nothing. A server
that is down, or that lists no such model, is told of, and the network is served all the same: a
model server may take minutes to load, and clients try again. A key that is refused or not set ends
it, as it ends a run: no request would be answered.
"""

import asyncio
import os
import ssl
from typing import Any

import httpx
import msgspec

from parkade.compound.models.openai import OpenAIModel
from parkade.compound.network.binding import Bound
from parkade.compound.run.progressing import ModelDenied

WAIT_S = 5.0
#: Names of models that are told.
MOST_NAMES = 5
REFUSED_KEY = 401


async def probe(bound: Bound) -> list[str]:
    """What an operator should know; raises ModelDenied where a key is refused."""
    asked = [
        (name, model, url)
        for name, model in bound.asked_models.items()
        if isinstance(model, OpenAIModel)
        for url in model.urls
    ]
    if not asked:
        return []
    # What the calls themselves trust.
    trusted = ssl.create_default_context()
    async with httpx.AsyncClient(timeout=WAIT_S, verify=trusted) as client:
        answers = await asyncio.gather(*(_ask(client, *each) for each in asked))
    return [text for text in answers if text is not None]


async def _ask(client: httpx.AsyncClient, name: str, model: OpenAIModel, url: str) -> str | None:
    try:
        headers = model.headers()
    except KeyError as error:
        raise ModelDenied(f"model {name!r}: {error.args[0]}") from None
    try:
        async with asyncio.timeout(WAIT_S):
            answer = await client.get(f"{url}/models", headers=headers)
    except (httpx.TimeoutException, TimeoutError):
        return f"model {name!r}: {url} gives no answer in {WAIT_S:g} s; {_SERVED}"
    except httpx.HTTPError as error:
        return f"model {name!r}: cannot reach {url}: {_in_words(error)}; {_SERVED}"
    if answer.status_code == REFUSED_KEY:
        raise ModelDenied(f"model {name!r}: {url} answers 401; {model.key_in_words(REFUSED_KEY)}")
    if answer.status_code >= 500:
        return f"model {name!r}: {url} answers {answer.status_code}; {_SERVED}"
    return _of_list(name, model.identity, url, answer)


_SERVED = "requests fail until it does better"


def _in_words(error: httpx.HTTPError) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno is not None and cause.errno > 0:
            return os.strerror(cause.errno)
        cause = cause.__cause__ or cause.__context__
    return str(error) or type(error).__name__


def _of_list(name: str, identity: str, url: str, answer: httpx.Response) -> str | None:
    """What a list of models says; a server without one, or with another form, says nothing."""
    if answer.status_code != httpx.codes.OK:
        return None
    try:
        listed: Any = msgspec.json.decode(answer.content)
        ids = [str(each["id"]) for each in listed["data"]]
    except (msgspec.DecodeError, KeyError, TypeError):
        return None
    if not ids or identity in ids:
        return None
    shown = ", ".join(ids[:MOST_NAMES]) + (", …" if len(ids) > MOST_NAMES else "")
    return f"model {name!r}: {url} lists no model {identity!r}; it has {shown}"
