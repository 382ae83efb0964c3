"""Text that a terminal prints and does not obey.

Commands, folders and error texts come from users, and a terminal carries out control characters:
they set its title, clear it or overwrite what stands there. Newline and tab stay as they are.
"""

import re

# C0 as `\x1b`. DEL and C1 as `\u009b`, which is also right inside JSON: its texts have no raw C0.
_SHOWN = {code: f"\\x{code:02x}" for code in range(0x20) if chr(code) not in "\n\t"} | {
    code: f"\\u{code:04x}" for code in range(0x7F, 0xA0)
}


def has_control_characters(text: str) -> bool:
    """Whether a terminal would obey a part of the text; newline and tab count too."""
    return re.search(r"[\x00-\x1f\x7f-\x9f]", text) is not None


def visible(text: str) -> str:
    """The text with its control characters written out; JSON text keeps its meaning."""
    return text if text.isprintable() else text.translate(_SHOWN)
