"""Output and error stream of the command line: no control character of a user reaches a terminal.

All that `print` writes passes here, for every command. What rich writes has control sequences of
its own, so rich goes around this stream (by `rich_proxied_file`) and `screen.console` does the
same to its texts. `logs` writes a workload's output as bytes to `buffer`, unchanged.
"""

import sys
from typing import Any, TextIO

from parkade.core.units.visible import visible


class VisibleStream:
    """A text stream that writes control characters out; everything else is the stream's own."""

    def __init__(self, stream: TextIO) -> None:
        self.rich_proxied_file = stream

    def write(self, text: str) -> int:
        """Writes the text; answers its length, as every stream does."""
        self.rich_proxied_file.write(visible(text))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Writes each text."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rich_proxied_file, name)


def show_control_characters() -> None:
    """Replaces this process's output and error stream."""
    sys.stdout, sys.stderr = VisibleStream(sys.stdout), VisibleStream(sys.stderr)
