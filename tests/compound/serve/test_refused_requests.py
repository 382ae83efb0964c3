"""A request that a model's server refuses is told to the client as its own."""

from pathlib import Path

import openai
import pytest

from parkade.compound.models.openai import OpenAIModel
from tests.compound.serve.test_down import served
from tests.compound.serve.test_serve import client, in_loop, say
from tests.compound.server import Asked, reply, scripted


@pytest.mark.parametrize(
    ("status", "upstream", "code"),
    [
        (400, "context_length_exceeded", "context_length_exceeded"),
        (413, None, "request_refused"),
        (422, "no code: a sentence", "request_refused"),
    ],
)
def test_what_a_model_refuses_of_a_request_is_the_clients_mistake_in_its_words(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    upstream: str | None,
    code: str,
) -> None:
    monkeypatch.setenv("UPSTREAM_KEY", "sk-of-the-operator")
    words = (
        "This model's maximum context length is 8192 tokens (key sk-of-the-operator). " + "w" * 900
    )

    async def refuse(asked: Asked) -> bytes:
        error = {"message": words, "type": "invalid_request_error", "code": upstream}
        return reply({"error": error}, status)

    async def work() -> None:
        async with scripted(refuse) as behind:
            model = OpenAIModel("x", (behind.url,), key_env="UPSTREAM_KEY")
            async with served(tmp_path, model) as (url, _), client(url) as asked:
                with pytest.raises(openai.APIStatusError, match="maximum context length") as raised:
                    await asked.chat.completions.create(model="net", messages=say("hi"))
                assert raised.value.status_code == 400
                assert isinstance(raised.value, openai.BadRequestError)
                assert (raised.value.code, raised.value.type) == (code, "invalid_request_error")
                assert "sk-of-the-operator" not in str(raised.value.body)
                assert len(str(raised.value.body)) < 1_000
                assert len(behind.asked) == 1
                stream = await asked.chat.completions.create(
                    model="net", messages=say("hi"), stream=True
                )
                with pytest.raises(openai.APIError, match="maximum context length"):
                    async for _ in stream:
                        pass

    in_loop(work)
