"""Other programs ask a served network as if it were one model; run in their own environment.

python tools/clients/ask.py http://127.0.0.1:8400/v1
"""

import os
import sys
import tempfile
from typing import Any


def with_dspy(url: str) -> None:
    """A DSPy program whose language model is the network."""
    import dspy

    dspy.configure(lm=dspy.LM("openai/net", api_base=url, api_key="none", cache=False))
    told = dspy.Predict("question -> answer")(question="What is 6 times 7?")
    assert "42" in told.answer, told
    print("DSPy:", told.answer)


def with_inspect(url: str) -> None:
    """An Inspect evaluation of the network, scored by Inspect."""
    os.environ["OPENAI_BASE_URL"] = url
    os.environ["OPENAI_API_KEY"] = "none"
    from inspect_ai import Task
    from inspect_ai import eval as evaluate
    from inspect_ai.dataset import Sample
    from inspect_ai.scorer import includes
    from inspect_ai.solver import generate

    samples = [Sample(input=f"What is {n} times 7?", target=str(7 * n)) for n in range(5)]
    task = Task(dataset=samples, solver=generate(), scorer=includes())
    with tempfile.TemporaryDirectory() as logs:
        (log,) = evaluate(
            task,
            model="openai/net",
            model_args={"responses_api": False},
            log_dir=logs,
            display="none",
        )
    assert log.status == "success", log.error
    assert log.results is not None
    accuracy = log.results.scores[0].metrics["accuracy"].value
    assert accuracy == 1.0, accuracy
    print("Inspect: accuracy", accuracy)


def with_litellm(url: str) -> None:
    """LiteLLM, whole and in pieces, and its error for a model that is not there."""
    import litellm

    def asked(model: str, **more: bool) -> Any:
        messages = [{"role": "user", "content": "What is 6 times 7?"}]
        return litellm.completion(
            model=f"openai/{model}", api_base=url, api_key="none", messages=messages, **more
        )

    told = asked("net")
    assert "42" in told.choices[0].message.content, told
    assert told.usage.total_tokens == told.usage.prompt_tokens + told.usage.completion_tokens
    pieces = [piece.choices[0].delta.content or "" for piece in asked("net", stream=True)]
    assert "".join(pieces) == told.choices[0].message.content
    refused = None
    try:
        asked("other")
    except litellm.NotFoundError as error:
        refused = str(error)
    assert refused is not None and "there is no model" in refused, refused
    print("LiteLLM:", told.choices[0].message.content)


def with_langchain(url: str) -> None:
    """LangChain, whole and in pieces."""
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(model="net", base_url=url, api_key="none")
    told = model.invoke("What is 6 times 7?")
    assert "42" in told.content, told
    assert told.usage_metadata is not None
    assert "".join(piece.content for piece in model.stream("What is 6 times 7?")) == told.content
    print("LangChain:", told.content)


def main(url: str) -> None:
    """Each client that is installed; what is not is said."""
    for name, ask in CLIENTS:
        try:
            ask(url)
        except ImportError as error:
            print(f"{name}: left out, it is not installed ({error})")


CLIENTS = (
    ("DSPy", with_dspy),
    ("Inspect", with_inspect),
    ("LiteLLM", with_litellm),
    ("LangChain", with_langchain),
)

if __name__ == "__main__":
    main(sys.argv[1])
