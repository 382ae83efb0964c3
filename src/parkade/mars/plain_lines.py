"""Lines of evidence as people read them: a record of the kernel's ring without its numbers."""

import re

_RECORD = re.compile(r"\d{1,10},\d{1,20},\d{1,20},[^;]{1,40};")
"""Priority, sequence number, microseconds since boot, and flags, as /dev/kmsg gives them."""


def plain_line(line: str) -> str:
    """The words of a line; what is kept and what `--json` prints stay whole."""
    return _RECORD.sub("", line, count=1) if _RECORD.match(line) else line
