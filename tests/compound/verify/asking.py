"""Questions and candidates for tests of verifiers."""

import asyncio
from typing import Any

from parkade.compound.values import Candidate, Question, Verdict, Verifier


def question(prompt: str = "", **fields: Any) -> Question:
    """A question with its fields."""
    return Question(id="q1", prompt=prompt, fields=fields)


def candidate(text: str) -> Candidate:
    """An answer by a model."""
    return Candidate(text=text, model="m", sample=0, key="k")


def verdict(verifier: Verifier, asked: Question, text: str) -> Verdict:
    """What a verifier says, on an event loop of its own."""
    return asyncio.run(verifier.verify(asked, candidate(text)))
