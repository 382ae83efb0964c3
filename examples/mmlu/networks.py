"""The networks: single calls, and K = 3 calls with a judge that accepts or rejects each.

*Networks of Networks* (arXiv 2407.16831) asks K generators for an answer with an explanation, has a
verifier judge each pair, and gives an accepted answer, or a random one where none is accepted. Both
networks ask with the same words, so the K candidates are those of the single calls and are drawn
once: the difference between the two is the verifier's.
"""

from examples.mmlu.questions import SUBJECTS
from parkade.compound.network import BestOf, Generate, ModelVerifier

MODEL = "m"

ANSWER = """{prompt}

Explain step by step which option is right and why the others are wrong. Then end with the line
"Answer: X", where X is one of A, B, C and D."""

CHECK = """Here is a multiple-choice question and a proposed answer with its explanation.

Question:
{prompt}

Proposed answer:
{candidate}

Check each step of the explanation, and whether another option fits better. Then end with the line
"Verdict: correct" or "Verdict: wrong"."""

SUBJECT = (
    "{prompt}\n\nTo which of these subjects does the question belong: "
    + ", ".join(SUBJECTS)
    + "? Answer with the name of the subject only."
)


def single(k: int, temperature: float) -> Generate:
    """K single calls of each question; their mean is what one call is worth."""
    return Generate(MODEL, prompt=ANSWER, temperature=temperature, n=k)


def verified(k: int, temperature: float) -> BestOf:
    """The first of K candidates that the model itself accepts, else a random one."""
    generate = Generate(MODEL, prompt=ANSWER, temperature=temperature)
    check = ModelVerifier(MODEL, prompt=CHECK, temperature=0.0)
    return BestOf(generate, k=k, verify=check, fallback="random", parallel=1)


def naming() -> Generate:
    """The subject of each question, as the model names it."""
    return Generate(MODEL, prompt=SUBJECT, temperature=0.0)
