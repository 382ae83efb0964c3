"""How many candidates a question draws, and what they cost, where several are drawn side by side.

Drawn one after the other, a question draws until its first accepted candidate, and each call pays
for its own prompt. With `parallel` in flight, up to `parallel` − 1 more are begun before the first
accepted one is known, and are paid for; in return, samples of one request share its prompt where a
model has `samples_per_request`.

Of a pilot it is known what a candidate cost there, what a shared prompt costs, and for how many
candidates one was paid (`SharedPrompt`). With A the cost of a candidate without its prompt and P
that of the prompt, a candidate costs A + P ÷ min(parallel, candidates a prompt).

Example: P = 90, A = 10, a pilot with 8 samples a request: a candidate cost 21.25 there, 100 alone,
and 32.5 with four side by side.
"""

from typing import NamedTuple

from parkade.compound.evaluate.calibration import Calibration
from parkade.compound.evaluate.curve import Curve


class Drawing(NamedTuple):
    """Candidates of one question, so many in flight at once."""

    curve: Curve
    parallel: int
    #: Of one candidate with its check.
    each_micros: float

    def draws(self, k: int) -> float:
        """Expected candidates that are paid for, of at most K."""
        if k <= self.parallel:
            return float(k)
        return self.parallel - 1 + self.curve.draws(k - self.parallel + 1)

    def cost_micros(self, k: int) -> float:
        """What they cost."""
        return self.draws(k) * self.each_micros


def drawing(calibration: Calibration, curve: Curve, parallel: int) -> Drawing:
    """With what the pilot says a candidate costs."""
    return Drawing(curve, parallel, each_micros(calibration, parallel))


def each_micros(calibration: Calibration, parallel: int) -> float:
    """A candidate with its check, where so many of a question are drawn side by side."""
    prompt = calibration.shared_prompt
    if prompt is None:
        return calibration.cost_micros
    without_prompt = calibration.cost_micros - prompt.micros / prompt.candidates
    return without_prompt + prompt.micros / min(float(parallel), prompt.candidates)
