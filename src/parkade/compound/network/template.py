"""Prompt templates: `{prompt}`, `{id}` and the fields of the question, `{candidate}` and the like.

`{{` and `}}` are braces. A template is split once and rendered by joining, so that a million
renderings cost little. An unknown variable is an error that names those there are.
"""

from collections import Counter
from collections.abc import Mapping
from string import Formatter

from parkade.compound.network.errors import NetworkError


class Template:
    """A text with variables."""

    __slots__ = ("_parts", "counts", "names", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        parts: list[tuple[str, str | None]] = []
        try:
            for literal, name, spec, conversion in Formatter().parse(text):
                if spec or conversion or (name is not None and not name.isidentifier()):
                    raise NetworkError(
                        f"{{{name}}} in a prompt is not a plain name; write braces as {{{{ and }}}}"
                    )
                parts.append((literal, name))
        except ValueError as error:
            raise NetworkError(f"a prompt is no template ({error}); write braces doubled") from None
        self._parts = tuple(parts)
        #: How often it shows each variable.
        self.counts = Counter(name for _, name in parts if name)
        self.names = tuple(self.counts)

    def render(self, values: Mapping[str, object]) -> str:
        """The text with its values; NetworkError if one is missing."""
        pieces: list[str] = []
        for literal, name in self._parts:
            pieces.append(literal)
            if name is not None:
                try:
                    pieces.append(str(values[name]))
                except KeyError:
                    known = ", ".join(sorted(values))
                    raise NetworkError(
                        f"the prompt uses {{{name}}}, which the question lacks; it has: {known}"
                    ) from None
        return "".join(pieces)
