"""What a model's server adds to prompts: words of its chat template, learnt from reported usage.

A budget bounds a prompt by its bytes, and a chat template may add text that no request shows. Where
the model says `template_tokens`, that is counted and nothing needs to be learnt. Where it does not,
what the server reports beyond a call's bound is reserved for every later call (`most`). Until its
first report, calls start only while each one in flight could have `ROOM` tokens more than its bound
within the budget, and where not even one could, one at a time: so a budget is passed by a template
that adds more than `ROOM`, or by the one call that taught it, and by no more. A call that failed or
was cancelled is not in flight and keeps no room: what it may be billed is counted at its bound.

The room is looked for and not reserved: with a large budget it changes nothing, and a kill leaves
no more in doubt. Example, 3,000 tokens left, calls of at most 100: two start at once, since
2 × (100 + 1,024) fit and a third does not. Each reports 600; from then on 600 is set aside for
each, and three more calls fit.
"""

from parkade.compound.models.protocol import Model
from parkade.compound.values import Call, Usage

#: More than the templates of common models add: a date and a default system prompt are 20 to 70
#: tokens, the words around tools 100 to 350.
ROOM = 1_024


class AddedText:
    """Of all models of a run, by the network's name for them."""

    def __init__(self) -> None:
        self._most: dict[str, int] = {}

    def most(self, model: str) -> int:
        """The most tokens that its server counted beyond the bound of a call; 0 if none so far."""
        return self._most.get(model, 0)

    def heard(self, call: Call, usage: Usage) -> bool:
        """A server told a call's usage; whether it adds more than was known."""
        beyond = max(0, usage.input_tokens - (call.most_input_tokens or usage.input_tokens))
        known = self._most.get(call.model)
        if known is None or beyond > known:
            self._most[call.model] = beyond
        return beyond > (known or 0)

    def room(self, name: str, model: Model, in_flight: int) -> int:
        """Tokens that the model's calls in flight and one more may be billed beyond their bounds;
        0 where that is said or was heard."""
        assert in_flight >= 0, "calls end once"
        bounds = model.bounds
        if name in self._most or bounds.template_tokens is not None or not bounds.has_template:
            return 0
        return ROOM * (in_flight + 1)
